"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const index = JSON.parse(byId("items-index").textContent);
  const chunks = [...document.querySelectorAll("script.items-chunk")];
  const [ID, DOMAIN, CHOSEN, REJECTED, WIN, SPREAD, CUT, LEAD, REWARDS] = [0, 1, 2, 3, 4, 5, 6, 7, 8];
  const ROW = 64;
  const all = index.items;
  const margin = (item) => item[CHOSEN] - item[REJECTED];

  // Text from data only ever becomes text nodes.
  const node = (tag, name, ...children) => {
    const made = document.createElement(tag);
    if (name) made.className = name;
    made.append(...children);
    return made;
  };
  const shape = (tag, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const signed = (value, decimals = 3) => {
    const digits = Math.abs(value).toFixed(decimals);
    return Number(digits) === 0 ? digits : (value < 0 ? "\u2212" : "+") + digits;
  };
  const whole = (n) => n.toLocaleString("en-US");

  // Characters that would turn or hide what stands around them are named instead of obeyed.
  const CONTROLS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;
  const plain = (parent, text) => {
    let from = 0;
    for (const found of text.matchAll(CONTROLS)) {
      parent.append(text.slice(from, found.index));
      const code = found[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
      parent.append(node("span", "control", "U+" + code));
      from = found.index + 1;
    }
    parent.append(text.slice(from));
  };
  let terms = [];
  const prose = (text, name = "text") => {
    const made = node("p", name);
    made.dir = "auto";
    if (!terms.length) {
      plain(made, text);
      return made;
    }
    const escaped = terms.map((term) => term.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    let from = 0;
    for (const found of text.matchAll(new RegExp(escaped.join("|"), "giu"))) {
      plain(made, text.slice(from, found.index));
      const mark = node("mark");
      plain(mark, found[0]);
      made.append(mark);
      from = found.index + found[0].length;
    }
    plain(made, text.slice(from));
    return made;
  };

  const parsed = [];
  const chunk = (i) => (parsed[i] ??= JSON.parse(chunks[i].textContent));
  const detail = (at) => chunk(Math.floor(at / index.chunk))[at % index.chunk];
  const pause = () => new Promise((go) => setTimeout(go));
  let haystacks = null;
  const readTexts = async () => {
    const found = [];
    for (let i = 0; i < chunks.length; i++) {
      for (const item of chunk(i)) {
        const sides = [item.c, item.x].flatMap((side) => [side.t, ...side.z.map((critique) => critique[0])]);
        const at = found.length;
        const domain = all[at][DOMAIN] < 0 ? "" : index.domains[all[at][DOMAIN]];
        const words = [all[at][ID], domain, ...item.p.map((turn) => turn[1]), ...sides];
        found.push(words.join("\n").toLowerCase());
      }
      if (i % 8 === 7) await pause();
    }
    return found;
  };

  const browser = byId("browser");
  const [list, rows, pane, count] = ["pairs", "rows", "pair", "count"].map(byId);
  const [query, show, domain, versus, order] = ["query", "show", "domain", "versus", "order"].map(byId);
  const option = (value, text) => {
    const made = node("option", "", text);
    made.value = value;
    return made;
  };
  index.domains.forEach((name, i) => domain.append(option(i, name)));
  domain.closest("label").hidden = index.domains.length < 2;
  index.contestants.forEach((name, i) => {
    if (name === index.main) return;
    versus.append(option("won" + i, "only " + index.main + " is right, not " + name));
    versus.append(option("lost" + i, "only " + name + " is right, not " + index.main));
  });
  versus.closest("label").hidden = versus.options.length < 2;

  const isRight = (rewards) => rewards && rewards[0] > rewards[1];
  const SHOWN = {
    all: () => true,
    wrong: (item) => margin(item) <= 0,
    right: (item) => margin(item) > 0,
    divided: (item) => item[WIN] !== null && item[WIN] >= 0.25 && item[WIN] <= 0.75,
    cut: (item) => item[CUT] > 0,
  };
  const unsure = (item) => (item[WIN] === null ? 2 : Math.abs(item[WIN] - 0.5));
  const ORDERS = {
    wrong: (a, b) => margin(all[a]) - margin(all[b]),
    wide: (a, b) => Math.abs(margin(all[b])) - Math.abs(margin(all[a])),
    close: (a, b) => Math.abs(margin(all[a])) - Math.abs(margin(all[b])),
    divided: (a, b) => unsure(all[a]) - unsure(all[b]),
    spread: (a, b) => (all[b][SPREAD] ?? -1) - (all[a][SPREAD] ?? -1),
    data: (a, b) => a - b,
  };

  let shown = [];
  let selected = 0;
  let turn = 0;
  const select = async () => {
    const mine = ++turn;
    terms = query.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (terms.length && !haystacks) {
      count.textContent = "reading…";
      await pause();
      haystacks = await readTexts();
      if (mine !== turn) return;
    }
    const other = versus.value === "" ? null : Number(versus.value.replace(/\D+/, ""));
    const wins = versus.value.startsWith("won");
    const main = index.contestants.indexOf(index.main);
    const kept = [];
    all.forEach((item, at) => {
      if (!SHOWN[show.value](item)) return;
      if (domain.value !== "" && item[DOMAIN] !== Number(domain.value)) return;
      if (other !== null) {
        const [mine, theirs] = [item[REWARDS][main], item[REWARDS][other]];
        if (!mine || !theirs || isRight(mine) === isRight(theirs) || isRight(mine) !== wins) return;
      }
      if (terms.length && !terms.every((term) => haystacks[at].includes(term))) return;
      kept.push(at);
    });
    shown = kept.sort((a, b) => ORDERS[order.value](a, b) || a - b);
    const n_wrong = shown.filter((at) => margin(all[at]) <= 0).length;
    count.textContent = shown.length
      ? `${whole(shown.length)} of ${whole(all.length)} pairs, ${whole(n_wrong)} of them ranked wrong`
      : "no pair is like that";
    list.scrollTop = 0;
    rows.style.height = shown.length * ROW + "px";
    pick(0, false);
  };

  const draw = () => {
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 4);
    const last = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + 4);
    const made = [];
    for (let place = first; place < last; place++) {
      const item = all[shown[place]];
      const right = margin(item) > 0;
      const row = node("div", "row");
      row.id = "row-" + place;
      row.setAttribute("role", "option");
      row.setAttribute("aria-selected", place === selected);
      row.setAttribute("aria-posinset", place + 1);
      row.setAttribute("aria-setsize", shown.length);
      row.style.top = place * ROW + "px";
      row.dataset.place = place;
      const head = node("span", "row-head");
      head.append(node("span", "verdict " + (right ? "right" : "wrong"), right ? "✓" : "✗"));
      head.append(node("span", "hidden", right ? "ranked right" : "ranked wrong"));
      head.append(node("bdi", "row-id", item[ID]));
      if (item[DOMAIN] >= 0) head.append(node("bdi", "chip", index.domains[item[DOMAIN]]));
      head.append(node("span", "row-margin", signed(margin(item), 2)));
      const lead = node("bdi", "row-lead");
      plain(lead, item[LEAD]);
      row.append(head, lead);
      made.push(row);
    }
    rows.replaceChildren(...made);
    if (shown.length) list.setAttribute("aria-activedescendant", "row-" + selected);
    else list.removeAttribute("aria-activedescendant");
  };

  const rewardsPlot = (item) => {
    const [width, height, left, right] = [480, 66, 76, 14];
    const picture = shape("svg", { viewBox: `0 0 ${width} ${height}`, class: "strip", "aria-hidden": "true" });
    const sides = [["chosen", item.c], ["rejected", item.x]];
    const values = sides.flatMap(([, side]) => [side.r, ...side.z.map((critique) => critique[1])]);
    let [low, high] = [Math.min(...values), Math.max(...values)];
    if (low === high) [low, high] = [low - 1, high + 1];
    const x = (value) => left + ((value - low) / (high - low)) * (width - left - right);
    sides.forEach(([name, side], i) => {
      const y = 20 + 28 * i;
      const label = shape("text", { x: left - 14, y: y + 4, "text-anchor": "end" });
      label.append(name);
      picture.append(label, shape("line", { x1: left, x2: width - right, y1: y, y2: y, class: "rail" }));
      for (const critique of side.z) picture.append(shape("circle", { cx: x(critique[1]), cy: y, r: 5, class: name }));
      picture.append(shape("line", { x1: x(side.r), x2: x(side.r), y1: y - 11, y2: y + 11, class: "mean " + name }));
    });
    return picture;
  };
  const response = (name, side) => {
    const made = node("article", name);
    made.append(node("h4", "", (name === "chosen" ? "Chosen" : "Rejected") + " · reward " + signed(side.r)));
    made.append(prose(side.t));
    const facts = [side.z.length === 1 ? "1 critique" : side.z.length ? side.z.length + " critiques" : "no critique"];
    if (side.s !== null) facts.push("standard deviation " + side.s.toFixed(3));
    if (side.w !== null) facts.push("without critique " + signed(side.w));
    if (side.f) facts.push(side.f === 1 ? "1 critique failed" : side.f + " critiques failed");
    made.append(node("p", "facts", facts.join(" · ")));
    const critiques = node("ol", "critiques");
    for (const [text, reward, n_tokens, ended] of side.z) {
      const facts = node("p", "facts", node("strong", "", "reward " + signed(reward)), " · " + n_tokens + " tokens");
      if (ended === "length") facts.append(" · cut at the token limit");
      critiques.append(node("li", "", facts, prose(text)));
    }
    if (side.z.length) made.append(critiques);
    return made;
  };
  const verdicts = (at) => {
    const made = node("ul", "verdicts");
    index.contestants.forEach((name, i) => {
      const rewards = all[at][REWARDS][i];
      if (!rewards) return;
      const right = isRight(rewards);
      const item = node("li", "", node("span", "verdict " + (right ? "right" : "wrong"), right ? "✓" : "✗"));
      item.append(node("span", "hidden", right ? "right: " : "wrong: "), node("bdi", "", name));
      item.append(node("span", "facts", signed(rewards[0] - rewards[1], 2)));
      made.append(item);
    });
    return made;
  };
  const openPair = () => {
    const at = shown[selected];
    if (at === undefined) {
      pane.replaceChildren();
      return;
    }
    const [item, row] = [detail(at), all[at]];
    const right = margin(row) > 0;
    const head = node("h3", "", node("bdi", "", row[ID]));
    const facts = node("p", "facts");
    facts.append(node("span", "verdict " + (right ? "right" : "wrong"), right ? "✓ ranked right" : "✗ ranked wrong"));
    facts.append(" · margin " + signed(margin(row)));
    if (row[DOMAIN] >= 0) facts.append(" · ", node("bdi", "", index.domains[row[DOMAIN]]));
    if (row[WIN] !== null)
      facts.append(` · a critique of each response: the chosen one wins in ${Math.round(100 * row[WIN])} % of all combinations`);
    const turns = item.p.map(([role, text]) => node("div", "turn", node("p", "role", role), prose(text)));
    const made = [head, facts, ...turns];
    if (item.c.z.length + item.x.z.length > 0) {
      const note = "A dot is the reward after one critique, further right is larger; the line is their mean.";
      made.push(rewardsPlot(item), node("p", "facts", note));
    }
    made.push(node("div", "responses", response("chosen", item.c), response("rejected", item.x)));
    if (index.contestants.length > 1) made.push(node("h4", "", "Margins of all contestants"), verdicts(at));
    pane.replaceChildren(...made);
    pane.scrollTop = 0;
  };
  const pick = (place, moves = true) => {
    selected = Math.max(0, Math.min(place, shown.length - 1));
    const top = selected * ROW;
    if (moves && top < list.scrollTop) list.scrollTop = top;
    if (moves && top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
    draw();
    openPair();
    if (moves) history.replaceState(null, "", "#pair=" + encodeURIComponent(all[shown[selected]]?.[ID] ?? ""));
  };

  list.addEventListener("scroll", () => requestAnimationFrame(draw), { passive: true });
  list.addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (row) pick(Number(row.dataset.place));
  });
  list.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.floor(list.clientHeight / ROW) - 1);
    const to = {
      ArrowDown: selected + 1, ArrowUp: selected - 1, PageDown: selected + page, PageUp: selected - page,
      Home: 0, End: shown.length - 1,
    }[event.key];
    if (event.key === "Enter") pane.focus();
    if (to === undefined) return;
    event.preventDefault();
    pick(to);
  });
  let waiting = 0;
  query.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(select, 150);
  });
  for (const box of [show, domain, versus, order]) box.addEventListener("change", select);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());

  const fromAddress = () => {
    if (!location.hash.startsWith("#pair=")) return;
    let wanted;
    try {
      wanted = decodeURIComponent(location.hash.slice(6));
    } catch {
      return;
    }
    const place = shown.findIndex((at) => all[at][ID] === wanted);
    if (place < 0) return;
    pick(place);
    browser.scrollIntoView();
  };
  addEventListener("hashchange", fromAddress);
  addEventListener("resize", draw);
  browser.hidden = false;
  select().then(fromAddress);
  performance.mark("browser-ready");
})();
