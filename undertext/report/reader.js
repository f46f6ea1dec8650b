// The trace reader of a report, and its copy buttons. Runs from a file, without a network.
// Problems lie in the page in compressed blocks (reader.py); all text is set as text, never as HTML.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);

  function make(tag, classes, text) {
    const element = document.createElement(tag);
    if (classes) element.className = classes;
    if (text !== undefined) element.textContent = text;
    return element;
  }

  // --- Copy buttons: each copies the text of the element that it names.

  async function copy(button) {
    const source = byId(button.dataset.copies);
    let done = false;
    try {
      await navigator.clipboard.writeText(source.textContent);
      done = true;
    } catch {
      // No clipboard for pages from a file in this browser: the text is selected instead.
      getSelection().selectAllChildren(source);
      done = document.execCommand("copy");
    }
    byId(button.dataset.says).textContent = done ? "Copied." : "Selected: copy it with the keyboard.";
  }
  for (const button of document.querySelectorAll("button[data-copies]")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button));
  }

  // --- Data: an index of all problems, and blocks that are unpacked when they are needed.

  const reader = byId("reader");
  if (!reader || typeof DecompressionStream === "undefined") return; // the sample below it stays in sight
  const index = JSON.parse(byId("reader-index").textContent);
  const blocks = [...document.querySelectorAll("script.reader-block")];
  const unpacked = new Map();

  function block(number) {
    if (!unpacked.has(number)) unpacked.set(number, unpack(blocks[number].textContent));
    return unpacked.get(number);
  }

  async function unpack(text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(plain).text());
  }

  const problem = async (row) => (await block(Math.floor(row / index.block)))[row % index.block];

  // --- Which problems are read: a split, a filter, a search.

  const split = byId("reader-split"), filter = byId("reader-filter"), shade = byId("reader-shade");
  const search = byId("reader-search"), place = byId("reader-place"), status = byId("reader-status");
  let rows = [], at = 0, choosing = 0, showing = 0;
  let of = {}; // what is known of the split of the problem that is shown
  let value = null; // what probes give the probability of there

  const text = (written) => written.pieces.join("");

  function within(row) {
    const [own, , marks] = index.rows[row];
    const wanted = filter.value === "" || marks.includes(Number(filter.value));
    return wanted && (split.value === "" || own === Number(split.value));
  }

  async function holds(row, words) {
    const one = await problem(row);
    const texts = [index.rows[row][1], one.prompt, one.answer, ...one.flags];
    texts.push(...Object.values(one.written).map(text), ...one.samples.map((sample) => sample[0]));
    return texts.join("\n").toLowerCase().includes(words);
  }

  async function choose() {
    const asking = ++choosing, words = search.value.trim().toLowerCase(), before = rows[at];
    let found = index.rows.map((_, row) => row).filter(within);
    if (words) {
      status.textContent = "Searching…";
      const kept = [];
      for (const row of found) if (await holds(row, words)) kept.push(row);
      found = kept;
    }
    if (asking !== choosing) return; // something else was asked for meanwhile
    rows = found;
    at = Math.max(0, rows.indexOf(before));
    await show();
  }

  function move(by) {
    if (!rows.length) return;
    at = (at + by + rows.length) % rows.length;
    show();
  }

  // --- One problem.

  async function show() {
    const asking = ++showing;
    const one = rows.length ? await problem(rows[at]) : null;
    if (asking !== showing) return;
    of = one ? index.of[index.rows[rows[at]][0]] : {};
    value = one ? one.value : null;
    place.value = rows.length ? at + 1 : 0;
    place.max = rows.length;
    status.textContent = rows.length ? `of ${rows.length.toLocaleString("en")}` : "No problem fits.";
    byId("reader-problem").replaceChildren(...(one ? drawn(rows[at], one) : []));
    byId("reader-token").textContent = index.token;
    legend();
  }

  function drawn(row, one) {
    const title = make("h3", "", index.rows[row][1]);
    title.append(make("small", "", ` ${index.splits[index.rows[row][0]]}${one.type ? `, type ${one.type}` : ""}`));
    const parts = [title];
    if (one.flags.length) parts.push(make("p", "marks", `Flagged: ${one.flags.join("; ")}.`));
    const asked = make("div", "outputs");
    asked.append(piece("prompt", one.prompt), piece("right answer", one.answer));
    const outputs = make("div", "outputs");
    const first = divergence(one.written);
    for (const [who, written] of Object.entries(one.written)) outputs.append(column(who, written, first));
    parts.push(asked, outputs);
    if (first === null && one.written.tuned) parts.push(make("p", "aside", "Base and tuned wrote the same."));
    if (one.samples.length) parts.push(samples(one.samples));
    return parts;
  }

  function piece(name, words) {
    const part = make("div");
    part.append(make("h4", "", name), pre([words]));
    return part;
  }

  function pre(children) {
    const element = make("pre");
    element.dir = "auto";
    element.append(...children);
    return element;
  }

  function heading(name, grade, right) {
    const title = make("h4", "", `${name} `);
    title.append(make("span", `grade ${right ? "right" : "wrong"}`, grade));
    return title;
  }

  // The first character at which base and tuned differ; null where they do not.
  function divergence(written) {
    if (!written.base || !written.tuned) return null;
    const [base, tuned] = [text(written.base), text(written.tuned)];
    if (base === tuned) return null;
    let same = 0;
    while (same < Math.min(base.length, tuned.length) && base[same] === tuned[same]) same++;
    return same;
  }

  function column(who, written, first) {
    const part = make("div"), tokens = [];
    const by = figuresOf(who, written), pieces = by?.[2] ?? written.pieces;
    let begin = 0, marked = who === "steered" || first === null;
    pieces.forEach((words, number) => {
      const token = make("span", "token", words), end = begin + words.length;
      if (!marked && end > first) {
        token.classList.add("diverges");
        token.title = "The first token at which base and tuned differ. ";
        marked = true;
      }
      token.tabIndex = tokens.length ? -1 : 0;
      const read = said(who, written, pieces, number);
      token.title += read;
      const strength = strengthOf(who, by, number);
      if (strength !== null) token.style.setProperty("--strength", strength.toFixed(3));
      tokens.push(token);
      begin = end;
    });
    if (!marked) tokens.push(make("span", "token diverges ends", "(ends here)"));
    part.append(heading(of.names[who] ?? who, written.grade, written.right));
    if (pieces.length) {
      const output = pre(tokens);
      output.setAttribute("role", "group");
      output.setAttribute("aria-label", `${of.names[who] ?? who}, token by token`);
      part.append(output);
    } else {
      part.append(make("p", "none", "(nothing written)"));
    }
    return part;
  }

  // --- Shades. A reading is named "what reader"; the reader "own" is the one that wrote the text.

  const chosen = () => shade.value.split(" ");

  function figuresOf(who, written) {
    const [what, reader] = chosen();
    if (what === "plain" || what === "steered") return written.by[of.writer[who]];
    return written.by[reader === "own" ? of.writer[who] : reader];
  }

  function strengthOf(who, by, number) {
    const [what] = chosen();
    if (what === "steered") return isSteered(who, number) ? 0.6 : null;
    if (what === "plain" || !by || number >= by[0].length) return null;
    if (what === "probe" || what === "feature") {
      const read = by[what === "probe" ? 3 : 4];
      return read ? read[number] / index.parts : null;
    }
    const surprise = by[0][number] / index.nats;
    if (what === "probability") return 1 - Math.exp(-surprise);
    if (what === "surprise") return Math.min(1, surprise / index.most);
    const rank = by[1][number];
    return rank === 1 ? 0 : rank <= 3 ? 0.4 : 1;
  }

  // Whether an output's token was chosen in a pass that the vector changed, as far as its setting says.
  function isSteered(who, number) {
    const [from, until] = of.steered ?? [0, 0];
    return who === "steered" && number >= from && (until === null || number < until);
  }

  function said(who, written, pieces, number) {
    const parts = [];
    for (const [reader, by] of Object.entries(written.by)) {
      if ((by[2] ?? written.pieces) !== pieces || number >= by[0].length) continue;
      const surprise = by[0][number] / index.nats;
      const p = Math.exp(-surprise);
      const read = by[3] ? `, probe ${(by[3][number] / index.parts).toFixed(3)}` : "";
      const fires = by[4] ? `, feature ${(by[4][number] / index.parts * index.strongest).toFixed(2)}` : "";
      parts.push(`${reader}: probability ${p < 0.001 ? "under 0.001" : p.toFixed(3)}, ` +
        `surprise ${surprise.toFixed(2)} nats, rank ${by[1][number].toLocaleString("en")}${read}${fires}`);
    }
    if (isSteered(who, number)) parts.push("chosen in a steered pass");
    return parts.join("; ") || "not read";
  }

  function legend() {
    const [what] = chosen();
    const here = value === null ? "In this problem there is none to read." : `In this problem it is ${value}.`;
    byId("reader-legend").textContent = index.legends[what] + (what === "probe" ? ` ${here}` : "");
    reader.dataset.shade = what;
  }

  function samples(drawn) {
    const part = make("details"), right = drawn.filter((sample) => sample[2]).length;
    part.append(make("summary", "", `${drawn.length} sampled outputs, ${right} of them right`));
    const columns = make("div", "outputs");
    drawn.forEach(([words, grade, ok], number) => {
      const one = make("div");
      one.append(heading(`sample ${number + 1}`, grade, ok), pre([words]));
      columns.append(one);
    });
    part.append(columns);
    return part;
  }

  // --- One token: what is known of it, by a click or the keyboard. The tab key stops once at each output, and
  // arrows go from token to token within it.

  function read(token) {
    byId("reader-token").textContent = `“${token.textContent}”: ${token.title}`;
  }

  function step(token, key) {
    const all = [...token.parentElement.querySelectorAll(".token[tabindex]")], now = all.indexOf(token);
    const next = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: all.length - 1 }[key];
    if (next === undefined) return false;
    all[next]?.focus();
    return true;
  }

  // --- Controls.

  function typing(target) {
    return target.closest("input, select, textarea, [contenteditable]") !== null;
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    const token = event.target.closest(".token");
    if (token && step(token, event.key)) {
      event.preventDefault();
      return;
    }
    const by = { ArrowRight: 1, j: 1, ArrowLeft: -1, k: -1 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    move(by);
  });
  byId("reader-next").addEventListener("click", () => move(1));
  byId("reader-previous").addEventListener("click", () => move(-1));
  for (const select of [split, filter]) select.addEventListener("change", choose);
  shade.addEventListener("change", show);
  search.addEventListener("input", choose);
  place.addEventListener("change", () => {
    if (!rows.length) return;
    at = Math.min(rows.length, Math.max(1, Math.round(place.valueAsNumber) || 1)) - 1;
    show();
  });
  byId("reader-problem").addEventListener("click", (event) => {
    const token = event.target.closest(".token");
    if (token) read(token);
  });
  byId("reader-problem").addEventListener("focusin", (event) => {
    const token = event.target.closest(".token");
    if (!token) return;
    for (const each of token.parentElement.querySelectorAll(".token[tabindex='0']")) each.tabIndex = -1;
    token.tabIndex = 0; // where the tab key comes back to
    read(token);
  });

  document.documentElement.classList.add("reads");
  reader.hidden = false;
  choose();
})();
