/* The stream of news, one a browser: the tab that has it passes all on to the other tabs. (A browser opens
   six connections to a site; a stream in each of six tabs would leave none to load a page with.)

   `patchbay.follow(take, ask)` calls `take(kind, data)` for each message. While no stream is heard, it calls
   `ask()` every five seconds: a proxy may hold the stream back, or nobody may tell that it has ended. */
window.patchbay = {
  follow(take, ask) {
    "use strict";
    const KINDS = ["hello", "beat", "news", "calls", "agents"];
    const POLL = 5000;
    /* The server says something every 15 s. Milliseconds. */
    const SILENCE = 40000;
    const user = document.getElementById("pb-toasts").dataset.user;
    let source = null; // in the tab that has the stream
    let polling = null;
    let heardAt = 0;

    const poll = () => { polling ??= setInterval(ask, POLL); };
    const hear = (kind, data) => {
      heardAt = Date.now();
      clearInterval(polling);
      polling = null;
      take(kind, data);
    };

    const open = () => {
      source = new EventSource("/live/");
      for (const kind of KINDS) {
        source.addEventListener(kind, ({ data }) => {
          hear(kind, data);
          channel?.postMessage({ kind, data });
        });
      }
      source.onerror = () => {
        poll();
        if (source.readyState === EventSource.CLOSED) setTimeout(open, POLL);
      };
    };
    const watch = () => {
      if (polling || Date.now() - heardAt < SILENCE) return;
      poll();
      source?.close();
      if (source) open();
    };

    /* Browsers lend locks to safe origins only (https, localhost): elsewhere each tab has a stream. */
    const channel = navigator.locks ? new BroadcastChannel(`patchbay ${user}`) : null;
    const listen = () => {
      channel.onmessage = ({ data: { kind, data } }) => {
        if (kind !== "who has the stream?") hear(kind, data);
        else if (source && !polling) channel.postMessage({ kind: "hello", data });
      };
      channel.postMessage({ kind: "who has the stream?" });
      navigator.locks.request(`patchbay stream ${user}`, () => {
        open();
        return new Promise(() => {}); // until this tab is closed: then another one's turn has come
      });
    };

    poll(); // until the stream says “hello”
    if (channel) listen(); else open();
    setInterval(watch, POLL);
  },
};
