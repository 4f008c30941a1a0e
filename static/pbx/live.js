/* What a page does with the stream of news (stream.js): rows that it brings are put in their places, and what
   it only names is asked for by htmx. Without a stream everything is asked for every five seconds. */
(() => {
  "use strict";
  const tell = (topic) => document.body && htmx.trigger(document.body, `news:${topic}`);
  /* The first news of a topic is told at once, those that come within its pause together after it: nobody
     misses the last one (htmx's own `throttle` drops it). Milliseconds. */
  const PAUSES = { calls: 1000, agents: 500, records: 500, changes: 300, dials: 40 };
  const paused = {}; // topic -> whether more has come
  const hear = (topic) => {
    if (topic in paused) { paused[topic] = true; return; }
    paused[topic] = false;
    tell(topic);
    setTimeout(() => {
      const more = paused[topic];
      delete paused[topic];
      if (more) hear(topic);
    }, PAUSES[topic] ?? 200);
  };
  let isGreeted = false;
  const take = (kind, data) => {
    if (kind === "news") hear(data);
    else if (kind === "hello" && !isGreeted) tell("resync"); // what changed since this page was rendered
    else if (kind === "calls" || kind === "agents") {
      const news = JSON.parse(data);
      if (fetches.size) pushed.push([kind, news]);
      apply(kind, news);
    }
    isGreeted ||= kind === "hello";
  };

  /* A list that is fetched while rows are pushed may be older than they are when it comes: then they are
     applied once more, or a call that ended meanwhile would stay on the page. */
  const fetches = new Map(); // request -> how many pushes had come when it began
  const pushed = [];
  const fetching = () => {
    document.body.addEventListener("htmx:beforeRequest", (event) => fetches.set(event.detail.xhr, pushed.length));
    document.body.addEventListener("htmx:afterRequest", (event) => {
      const begun = fetches.get(event.detail.xhr) ?? pushed.length;
      fetches.delete(event.detail.xhr);
      for (const [topic, news] of pushed.slice(begun)) apply(topic, news);
      if (!fetches.size) pushed.length = 0;
    });
  };

  /* The dashboard shows the first few. */
  const hasRoom = (place) => place.children.length < (place.dataset.most ?? Infinity);

  /* Rows are rendered once for all who watch: whose call it is, each page sees for itself. */
  const mark = (row, place) => {
    const own = place?.closest("[data-own]")?.dataset.own;
    if (own && row.dataset.users?.split(" ").includes(own)) row.dataset.isOwn = ""; // no class: htmx sets those of a list that it fetched once more
    const { gateway } = row.dataset;
    const choice = gateway && document.querySelector("form[data-filters] select[name=gateway]");
    if (choice && ![...choice.options].some((option) => option.value === gateway)) choice.add(new Option(gateway));
  };

  /* Rows that changed, rendered by the server: replace what is on this page, add where rows may be added.
     Only these rows are touched: a page may show a thousand. */
  const apply = (topic, news) => {
    const places = document.querySelectorAll(`[data-live="${topic}"]`);
    const wanted = wishes();
    for (const [id, html] of Object.entries(news.changed)) {
      const parsed = document.createElement("template");
      parsed.innerHTML = html.trim();
      const put = (insert) => {
        const row = parsed.content.firstElementChild.cloneNode(true);
        show(row, wanted);
        insert(row);
        mark(row, row.parentElement);
        htmx.process(row);
        tick(row);
      };
      const shown = document.querySelectorAll(`[id="${CSS.escape(id)}"]`);
      for (const old of shown) put((row) => old.replaceWith(row));
      if (!shown.length) for (const place of places) if (hasRoom(place)) put((row) => place.append(row));
    }
    const wereFull = [...places].filter((place) => !hasRoom(place));
    for (const id of news.gone) document.querySelectorAll(`[id="${CSS.escape(id)}"]`).forEach((old) => old.remove());
    if (wereFull.some(hasRoom)) hear("fewer"); // others may come into their place
    for (const place of places) count(place);
  };

  /* The filters of a page live in its address, so that a view can be kept as a bookmark. */
  const wishes = () => {
    const form = document.querySelector("form[data-filters]");
    return form && Object.fromEntries(new FormData(form));
  };
  /* A choice must be the row's own value; what is typed may be any part of the words that it is found by. */
  const CHOICES = ["direction", "state", "gateway"];
  const TYPED = { q: "who", agent: "agents" };
  const has = (text = "", part = "") => text.toLowerCase().includes(part.trim().toLowerCase());
  const show = (row, wanted) => {
    if (!wanted || row.localName !== "tr") return;
    row.hidden = !(CHOICES.every((name) => !wanted[name] || row.dataset[name] === wanted[name])
      && Object.entries(TYPED).every(([name, words]) => has(row.dataset[words], wanted[name])));
  };
  const count = (place) => {
    const box = place.closest("[data-rows]");
    if (!box) return;
    const visible = "partial" in place.dataset || place.querySelector(":scope > tr:not([hidden])");
    box.dataset.rows = visible ? "some" : place.firstElementChild ? "hidden" : "none";
  };
  const filter = () => {
    const wanted = wishes();
    for (const place of document.querySelectorAll("[data-live]")) {
      for (const row of place.children) { show(row, wanted); mark(row, place); }
      count(place);
    }
  };
  const filters = () => {
    const form = document.querySelector("form[data-filters]");
    if (!form) return;
    const address = new URLSearchParams(location.search);
    for (const [name, value] of address) {
      const field = form.elements[name];
      if (!field) continue;
      field.value = value;
      if (field.value !== value) field.add(new Option(value, value, true, true)); // a gateway that is gone
    }
    const keep = () => {
      const kept = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
      history.replaceState(null, "", kept.size ? `?${kept}` : location.pathname);
      filter();
    };
    form.addEventListener("input", keep);
    form.addEventListener("submit", (event) => event.preventDefault());
    const suggested = document.getElementById("pb-agents");
    form.elements.agent?.addEventListener("focus", () => {
      const agents = [...document.querySelectorAll("[data-agents]")].flatMap((row) => row.dataset.agents.split(", "));
      suggested.replaceChildren(...[...new Set(agents)].filter(Boolean).sort().map((agent) => new Option(agent, agent)));
    });
    document.addEventListener("click", (event) => {
      if (event.target.closest("[data-clear-filters]")) { form.reset(); keep(); }
    });
    filter();
  };

  const clock = (seconds) => {
    const s = Math.max(0, Math.floor(seconds));
    const two = (n) => String(n).padStart(2, "0");
    const h = Math.floor(s / 3600);
    return h ? `${h}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`;
  };
  /* As all other times here are written, whatever the browser's language. */
  const timeOfDay = (date) => date.toLocaleTimeString("en-GB");
  /* A text that is changed in its place costs a tenth of one that is put in the place of another. */
  const say = (element, words) => {
    if (element.firstChild) element.firstChild.data = words;
    else element.textContent = words;
  };
  const tick = (root = document) => {
    for (const time of root.querySelectorAll("time[data-since]")) {
      if (!time.closest(".pb-old")) say(time, clock(Date.now() / 1000 - Number(time.dataset.since)));
    }
    for (const time of root.querySelectorAll("time[data-until]")) {
      const left = Number(time.dataset.until) - Date.now() / 1000;
      say(time, left > 0 ? `in ${clock(left)}` : "overdue");
    }
    for (const time of root.querySelectorAll("time[data-clock]:empty")) {
      time.textContent = timeOfDay(new Date(Number(time.dataset.clock) * 1000));
    }
  };

  /* The site itself is away: what the page shows is of the last answer. */
  let goodAt = new Date();
  const away = () => {
    if (document.getElementById("pb-away")) return;
    const said = document.createElement("p");
    said.id = "pb-away";
    said.className = "pb-card pb-stale";
    said.setAttribute("role", "alert");
    said.textContent = `Last update ${timeOfDay(goodAt)}; the site does not answer.`;
    document.getElementById("pb-toasts").before(said);
    document.body.classList.add("pb-is-away");
  };

  /* The chart is drawn by the theme; only its numbers change. */
  const redraw = async () => {
    const canvas = document.querySelector("canvas[data-chart]");
    const drawn = canvas && Chart.getChart(canvas);
    if (!drawn) return;
    const answer = await fetch(canvas.dataset.chart);
    if (!answer.ok) return;
    const { labels, answered, missed } = await answer.json();
    drawn.data.labels = labels;
    [answered, missed].forEach((numbers, n) => { drawn.data.datasets[n].data = numbers; });
    drawn.update();
  };

  document.addEventListener("DOMContentLoaded", () => {
    const toasts = document.getElementById("pb-toasts");
    if (!toasts) return; // not logged in
    document.body.append(toasts); // the theme's header lies below the bars at the foot of lists and forms
    fetching();
    patchbay.follow(take, () => tell("resync"));
    filters();
    filter();
    tick();
    setInterval(tick, 1000);
    for (const news of ["news:records", "news:resync"]) document.body.addEventListener(news, () => redraw().catch(() => {}));
    document.body.addEventListener("htmx:configRequest", (event) => {
      const token = document.querySelector("input[name=csrfmiddlewaretoken]");
      if (token) event.detail.headers["X-CSRFToken"] = token.value;
    });
    document.body.addEventListener("htmx:afterSwap", (event) => {
      tick();
      filter();
      for (const toast of document.querySelectorAll(".pb-toast[data-fades]")) {
        toast.removeAttribute("data-fades");
        setTimeout(() => toast.remove(), 4000);
      }
      /* A number that was refused stays, to be corrected; so does one that is typed while another button answers. */
      const asked = event.detail.requestConfig?.elt, box = document.getElementById("pb-number");
      if (asked?.contains(box) && !event.target.querySelector(".pb-toast")?.matches(".pb-error")) box.value = "";
    });
    const failed = (text) => {
      const toast = document.createElement("div");
      toast.className = "pb-toast pb-error";
      toast.setAttribute("role", "alert");
      toast.textContent = text;
      toast.addEventListener("click", () => toast.remove());
      document.getElementById("pb-toasts").prepend(toast);
    };
    document.body.addEventListener("htmx:responseError", (event) => {
      if (event.detail.requestConfig.verb !== "post") { if (event.detail.xhr.status >= 500) away(); return; }
      failed(event.detail.xhr.status === 403 ? "You may not do that." : "The site had an error. Try again.");
    });
    document.body.addEventListener("htmx:sendError", (event) => {
      if (event.detail.requestConfig.verb === "post") failed("The site does not answer. Nothing was sent.");
      else away();
    });
    document.body.addEventListener("htmx:afterOnLoad", () => {
      goodAt = new Date();
      document.getElementById("pb-away")?.remove();
      document.body.classList.remove("pb-is-away");
    });
    document.addEventListener("click", (event) => {
      if (event.target.closest("[data-dismiss]")) event.target.closest(".pb-toast").remove();
    });
    document.addEventListener("keydown", (event) => {
      const typing = event.target.closest("input, textarea, select, [contenteditable]");
      if (event.key === "d" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
        event.preventDefault();
        document.getElementById("pb-number").focus();
      }
    });
  });
})();

/* Routing's forms: a carrier fills the gateway in; strip and prepend are shown on an example. */
document.addEventListener("change", (event) => {
  if (event.target.id !== "pb-carrier") return;
  const chosen = event.target.value;
  const advice = document.querySelector(`template[data-advice="${chosen}"]`);
  document.getElementById("pb-carrier-advice").textContent = advice ? advice.content.textContent : "";
  const fields = JSON.parse(document.getElementById(chosen)?.textContent || "{}");
  for (const [name, value] of Object.entries(fields)) {
    const input = document.getElementById(`id_${name}`);
    if (!input) continue;
    if (input.type === "checkbox") input.checked = value;
    else input.value = value;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }
});
document.addEventListener("input", (event) => {
  if (event.target.id !== "id_strip" && event.target.id !== "id_prepend") return;
  const example = document.getElementById("route-example");
  const number = example?.textContent.match(/^\+(\d+)/)?.[1];
  if (!number) return;
  const strip = Number(document.getElementById("id_strip").value) || 0;
  const prepend = document.getElementById("id_prepend").value;
  example.textContent = `+${number} is sent as ${prepend}${number.slice(strip)}`;
});
