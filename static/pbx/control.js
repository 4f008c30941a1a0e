/* The box with the controls of one call. It is fetched again whenever calls change: the row that opened it may
   be gone by then, and whoever uses the keyboard must not lose the place. */
(() => {
  "use strict";
  document.addEventListener("DOMContentLoaded", () => {
    // Buttons that were fetched work at once. By default they are dead for 20 ms, in which a key is lost.
    htmx.config.defaultSettleDelay = 0;
    const box = document.getElementById("pb-steer");
    if (!box) return; // not logged in
    let opener = "";
    let focused = "";
    document.body.addEventListener("htmx:beforeSwap", (event) => {
      if (event.detail.target === box) focused = box.contains(document.activeElement) ? document.activeElement.id : "";
    });
    document.body.addEventListener("htmx:afterSwap", (event) => {
      if (event.detail.target !== box) return;
      const from = event.detail.requestConfig.elt;
      if (from.classList.contains("pb-steers")) {
        opener = from.getAttribute("hx-get");
        if (!box.matches(":popover-open")) box.showPopover();
        box.querySelector("button, input")?.focus();
      } else if (focused) {
        (document.getElementById(focused) ?? box.querySelector("button, input"))?.focus();
      }
    });
    box.addEventListener("toggle", (event) => {
      if (event.newState !== "closed") return;
      box.replaceChildren(); // and so it is no longer fetched
      document.querySelector(`.pb-steers[hx-get="${CSS.escape(opener)}"]`)?.focus();
    });
  });
})();
