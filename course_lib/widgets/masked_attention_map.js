// The attention map of a short sentence under a mask: every pair of tokens is one cell to be read.

const PAD = "·pad·";

/** 32-bit FNV-1a of a text's UTF-8 bytes. */
export function fnv1a(text) {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
}

/** A vector made from the spelling of a word: a signed count of its letter pairs, of squared length `energy`. */
export function spell(word, dim, energy) {
  const letters = [...`^${word.toLowerCase()}$`];
  const vector = new Array(dim).fill(0);
  for (let i = 0; i + 1 < letters.length; i += 1) {
    const hash = fnv1a(letters[i] + letters[i + 1]);
    vector[hash % dim] += (hash >>> 16) & 1 ? 1 : -1;
  }
  const length = Math.hypot(...vector);
  return length ? vector.map((x) => (x * Math.sqrt(energy)) / length) : vector;
}

/** Which query (row) may attend to which key (column): pads are never attended to under `padding`. */
export function maskOf(isPad, { causal, padding }) {
  return isPad.map((_, row) => isPad.map((pad, column) => !(causal && column > row) && !(padding && pad)));
}

/** Tokens, scores, mask and weights of a sentence padded to `length`. */
export function attentionMap({ sentence, length, padLeft, mask, temperature, dim = 16 }) {
  const words = sentence.trim().split(/\s+/).filter(Boolean).slice(0, length);
  const pads = new Array(length - words.length).fill(PAD);
  const tokens = padLeft ? [...pads, ...words] : [...words, ...pads];
  const isPad = tokens.map((_, i) => (padLeft ? i < pads.length : i >= words.length));
  // squared length 3√d: a word's score with itself is 3
  const vectors = tokens.map((t) => spell(t, dim, 3 * Math.sqrt(dim)));
  const scores = vectors.map((q) => scoresOf(q, vectors));
  const allowed = maskOf(isPad, { causal: mask.includes("causal"), padding: mask.includes("padding") });
  const weights = scores.map((row, i) => softmax(row.map((s) => s / temperature), allowed[i]));
  return { tokens, isPad, vectors, scores, allowed, weights };
}

function render({ model, el }) {
  const id = newId("map");
  el.classList.add("cw");
  keepKeys(el);
  el.innerHTML = `
    <p class="cw-help">Rows are queries, columns keys. Point at a cell, or enter the map with Tab and move with the
      arrow keys. The vectors come from each word's spelling, so words spelled alike attend to each other.</p>
    <div class="cw-controls">
      <label for="${id}-s">Sentence <input type="text" id="${id}-s" class="cw-sentence" size="34" autocomplete="off" spellcheck="false"></label>
      <label for="${id}-m">Mask <select id="${id}-m" class="cw-mask"><option value="none">none</option>
        <option value="causal">causal</option><option value="padding">padding</option>
        <option value="causal+padding">causal and padding</option></select></label>
      <label><input type="checkbox" class="cw-left"> pad on the left</label>
      <label for="${id}-t">Temperature <input type="range" id="${id}-t" class="cw-temperature" min="0.1" max="4" step="0.05">
        <output for="${id}-t"></output></label>
    </div>
    <table class="cw-map" role="grid" aria-label="Attention map: rows are queries, columns are keys"></table>
    <p class="cw-status" role="status"></p>`;
  const find = (selector) => el.querySelector(selector);
  const table = find(".cw-map");
  let result = null;
  let at = [0, 0];

  function describe() {
    const [i, j] = at;
    const { tokens, scores, allowed, weights } = result;
    const sum = weights[i].reduce((a, b) => a + b, 0);
    const pair = `query ${tokens[i]} → key ${tokens[j]}: score ${fixed(scores[i][j], 3)}`;
    const weight = allowed[i][j] ? `weight ${fixed(weights[i][j], 3)}` : "masked, weight 0";
    find(".cw-status").textContent = `${pair}, ${weight}; the row sums to ${fixed(sum, 3)}.`;
  }
  const cell = (i, j) => table.querySelector(`[data-at="${i},${j}"]`);
  function go(i, j, focus = false) {
    cell(...at)?.setAttribute("tabindex", "-1");
    at = [i, j];
    cell(i, j).setAttribute("tabindex", "0");
    if (focus) cell(i, j).focus();
    describe();
  }
  const where = (event) => event.target.closest("[data-at]")?.dataset.at.split(",").map(Number);
  table.addEventListener("pointerover", (event) => { const p = where(event); if (p) go(...p); });
  table.addEventListener("click", (event) => { const p = where(event); if (p) go(...p, true); });
  table.addEventListener("focusin", (event) => { const p = where(event); if (p) go(...p); });
  table.addEventListener("keydown", (event) => {
    const n = result.tokens.length;
    const [i, j] = at;
    const next = { ArrowUp: [i - 1, j], ArrowDown: [i + 1, j], ArrowLeft: [i, j - 1], ArrowRight: [i, j + 1],
      Home: [i, 0], End: [i, n - 1] }[event.key];
    if (!next) return;
    event.preventDefault();
    go(...next.map((v) => clamp(v, 0, n - 1)), true);
  });

  const show = [
    bind(model, "sentence", find(".cw-sentence")),
    bind(model, "mask", find(".cw-mask"), { event: "change" }),
    bind(model, "pad_left", find(".cw-left"), { property: "checked", event: "change" }),
    bind(model, "temperature", find(".cw-temperature"), { read: Number }),
  ];

  function draw() {
    const focused = table.contains(document.activeElement);
    result = attentionMap({
      sentence: model.get("sentence"), length: model.get("length"), padLeft: model.get("pad_left"),
      mask: model.get("mask"), temperature: model.get("temperature"), dim: model.get("dim"),
    });
    const { tokens, allowed, weights } = result;
    table.replaceChildren();
    const head = table.createTHead().insertRow();
    const header = (row, text, scope) => {
      const th = document.createElement("th");
      th.scope = scope;
      const span = document.createElement("span");
      span.textContent = text;
      th.append(span);
      row.append(th);
    };
    header(head, "query \\ key", "col");
    tokens.forEach((token) => header(head, token, "col"));
    header(head, "sum", "col");
    const body = table.createTBody();
    tokens.forEach((token, i) => {
      const row = body.insertRow();
      header(row, token, "row");
      tokens.forEach((key, j) => {
        const td = row.insertCell();
        td.dataset.at = `${i},${j}`;
        td.tabIndex = -1;
        td.setAttribute("role", "gridcell");
        td.classList.toggle("cw-shut", !allowed[i][j]);
        td.style.setProperty("--cw-w", weights[i][j]);
        td.textContent = allowed[i][j] ? fixed(weights[i][j], 2) : "–";
        if (!allowed[i][j]) td.setAttribute("aria-label", `masked: ${token} may not attend to ${key}`);
      });
      const sum = row.insertCell();
      sum.className = "cw-sum";
      sum.textContent = fixed(weights[i].reduce((a, b) => a + b, 0), 2);
    });
    for (const f of show) f();
    find("output").textContent = fixed(model.get("temperature"), 2);
    go(...at.map((v) => clamp(v, 0, tokens.length - 1)), focused);
  }
  return redraw(model, ["sentence", "length", "pad_left", "mask", "temperature"], draw);
}
export default { render };
