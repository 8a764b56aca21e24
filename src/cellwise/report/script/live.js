"use strict";
// Asks the server what the page shows now, and brings the page to it.
(() => {
  const POLL_MS = Number(document.documentElement.dataset.poll);
  const MOST_MS = 30000;
  const ANSWER_MS = 60000; // the first look at a large study takes its time

  const by = (id) => document.getElementById(id);
  const content = cellwise.patcher(by("content"));
  const status = cellwise.patcher(by("status"));

  let tag = null;
  let changed = ""; // when what is shown was read, as the server's ISO time
  let figures = new Map(); // by digest
  let pause = POLL_MS;
  let timer = 0;
  let asking = false;

  const clock = (date) => date.toLocaleTimeString([], { hour12: false });

  const say = (kind, text) => {
    by("pulse").className = kind;
    by("pulse").textContent = text;
    by("again").hidden = kind !== "lost";
    by("line").setAttribute("aria-live", kind === "lost" ? "assertive" : "off"); // the time alone is no news
  };

  // Every figure that the state names: those that are here already, and the others from the server.
  const fetched = async (places) => {
    const digests = [...new Set(Object.values(places))];
    const found = new Map(digests.map((digest) => [digest, figures.get(digest)]));
    await Promise.all(digests.filter((digest) => !found.get(digest)).map(async (digest) => {
      const answer = await fetch(`figures/${digest}`);
      if (!answer.ok) throw new Error("the page has moved on"); // asked again, it says to what
      found.set(digest, await answer.json());
    }));
    return found;
  };

  const show = async (state) => {
    figures = await fetched(state.figures);
    status(state.status);
    content(state.html);
    document.title = `${state.title} · cellwise`;
    by("error").textContent = state.error ?? "";
    by("error").hidden = !state.error;
    changed = state.changed;
    const drawn = Object.entries(state.figures).map(([place, digest]) => [place, figures.get(digest)]);
    await cellwise.mount(Object.fromEntries(drawn));
  };

  const ask = async () => {
    const headers = tag ? { "If-None-Match": tag } : {};
    const answer = await fetch("state", { headers, cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
    if (answer.status === 200) {
      await show(await answer.json());
      tag = answer.headers.get("ETag");
      document.documentElement.dataset.state = tag;
    } else if (answer.status !== 304 && answer.status !== 202) {
      throw new Error(`it says ${answer.status}`);
    }
    return answer.status;
  };

  const poll = async () => {
    clearTimeout(timer);
    if (asking || document.hidden) return;
    asking = true;
    try {
      const reading = (await ask()) === 202;
      pause = POLL_MS;
      const since = changed ? `; last change ${clock(new Date(changed))}` : "";
      say(reading ? "waiting" : "live", reading ? "reading the runs" : `live, looked at ${clock(new Date())}${since}`);
    } catch (error) {
      pause = Math.min(2 * pause, MOST_MS);
      const why = error instanceof TypeError || error.name === "TimeoutError" ? "it does not answer" : error.message;
      const shown = changed ? `what is shown is of ${clock(new Date(changed))}; ` : "";
      say("lost", `No word from cellwise watch (${why}); ${shown}next try ${clock(new Date(Date.now() + pause))}`);
    } finally {
      asking = false;
      timer = setTimeout(poll, pause);
    }
  };

  // A hidden tab asks nothing; a timer that ends meanwhile is set again when the tab is looked at.
  document.addEventListener("visibilitychange", poll);
  by("again").addEventListener("click", poll);
  poll();
})();
