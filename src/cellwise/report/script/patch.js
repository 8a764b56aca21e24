"use strict";
// Brings an element to what a text of HTML says, and touches nothing that the text does not change: what the reader
// opened, sorted, chose or scrolled to stays, and so does all that scripts have put beside it.
//
// The last text is kept as nodes of its own, each tied to its live node. A new text is compared with the last one, never
// with the page; only what differs between the two is done to the page.
(() => {
  // Rows that scripts sort, and put others between, are made anew, in the text's order, to be sorted again.
  const WHOLE = ["TBODY"];
  const NAMED_BY = ":scope > h1, :scope > h2, :scope > h3, :scope > h4, :scope > summary, :scope > th";

  // What makes two nodes of two texts the same thing.
  const name = (node) => {
    if (node.nodeType !== Node.ELEMENT_NODE) return node.nodeName;
    const own = node.id || node.dataset.key || node.querySelector(NAMED_BY)?.textContent;
    return `${node.nodeName} ${own ?? (node.nodeName === "LI" || node.nodeName === "P" ? node.textContent : "")}`;
  };

  // For each new child the old one that it goes on from: of the same name, else of the same kind, in order.
  const pairs = (old, now) => {
    const free = new Set(old);
    const found = new Map();
    const take = (key, children) => {
      const waiting = new Map();
      for (const node of free) {
        const at = key(node);
        if (!waiting.has(at)) waiting.set(at, []);
        waiting.get(at).push(node);
      }
      for (const child of children) {
        const match = waiting.get(key(child))?.shift();
        if (!match) continue;
        found.set(child, match);
        free.delete(match);
      }
    };
    take(name, now);
    take((node) => `${node.nodeName} ${node.className ?? ""}`, now.filter((child) => !found.has(child)));
    return { found, gone: free };
  };

  window.cellwise.patcher = (root) => {
    const last = document.createElement("div");
    const live = new WeakMap([[last, root]]);

    const tie = (node, copy) => {
      live.set(node, copy);
      node.childNodes.forEach((child, k) => tie(child, copy.childNodes[k]));
    };

    const copy = (node) => {
      const made = document.importNode(node, true);
      tie(node, made);
      return made;
    };

    const attributes = (old, now, here) => {
      for (const { name: key } of [...old.attributes]) {
        if (now.hasAttribute(key)) continue;
        old.removeAttribute(key);
        here.removeAttribute(key);
      }
      for (const { name: key, value } of now.attributes) {
        if (old.getAttribute(key) === value) continue;
        old.setAttribute(key, value);
        here.setAttribute(key, value);
      }
    };

    // Puts a live node behind another one, or first.
    const put = (node, behind, parent) => {
      if (behind?.parentNode === parent) behind.after(node);
      else if (behind) parent.append(node); // a script has taken it elsewhere
      else parent.prepend(node);
    };

    const children = (old, now, here) => {
      const before = [...old.childNodes];
      const places = new Map(before.map((node, k) => [node, k]));
      const after = [...now.childNodes];
      const { found, gone } = pairs(before, after);
      gone.forEach((node) => live.get(node).remove());
      let furthest = -1;
      let behind = null;
      const kept = after.map((child) => {
        const match = found.get(child);
        const node = match ? live.get(match) : copy(child);
        if (!match || places.get(match) < furthest) put(node, behind, here);
        if (match) {
          furthest = Math.max(furthest, places.get(match));
          patch(match, child);
        }
        behind = node;
        return match ?? child;
      });
      old.replaceChildren(...kept);
    };

    const patch = (old, now) => {
      if (old.isEqualNode(now)) return;
      const here = live.get(old);
      if (WHOLE.includes(old.nodeName)) {
        here.replaceChildren(...[...now.childNodes].map(copy));
        attributes(old, now, here);
        old.replaceChildren(...now.childNodes);
      } else if (old.nodeType === Node.ELEMENT_NODE) {
        attributes(old, now, here);
        children(old, now, here);
      } else {
        old.data = now.data;
        here.data = now.data;
      }
    };

    return (html) => {
      const parsed = document.createElement("template"); // nothing in it runs or loads
      parsed.innerHTML = html;
      const now = document.createElement("div");
      now.append(parsed.content);
      patch(last, now);
    };
  };
})();
