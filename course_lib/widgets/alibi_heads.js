// ALiBi's biases as attention weights, head by head, for tokens that are otherwise alike.

/** The slope of each head; a number that is no power of two borrows from twice the power below it. */
export function alibiSlopes(heads) {
  const below = 2 ** Math.floor(Math.log2(heads));
  const own = Array.from({ length: below }, (_, i) => 2 ** ((-8 * (i + 1)) / below));
  const between = Array.from({ length: below }, (_, i) => 2 ** ((-8 * (2 * i + 1)) / (2 * below)));
  return [...own, ...between].slice(0, heads);
}

/** The weights of one query over n keys, a row for each head. */
export function alibiWeights({ heads, n, query, causal }) {
  const places = Array.from({ length: n }, (_, j) => j);
  const allowed = places.map((j) => !causal || j <= query);
  return alibiSlopes(heads).map((slope) => softmax(places.map((j) => -slope * Math.abs(query - j)), allowed));
}

/** The smallest distance within which a row of weights holds the given share. */
export function reach(weights, query, share = 0.9) {
  for (let far = 0; far < weights.length; far += 1) {
    const held = weights.reduce((sum, w, j) => sum + (Math.abs(query - j) <= far ? w : 0), 0);
    if (held >= share - 1e-12) return far;
  }
  return weights.length - 1;
}

function render({ model, el }) {
  const id = newId("alibi");
  const n = model.get("n");
  el.classList.add("cw");
  keepKeys(el);
  el.innerHTML = `
    <p class="cw-help">Move the query, change the number of heads, or lift the causal mask. The darker a cell, the more
      weight on that key.</p>
    <div class="cw-controls">
      <label for="${id}-q">Query at <input id="${id}-q" class="cw-place" type="range" min="0" max="${n - 1}">
        <output for="${id}-q"></output></label>
      <label for="${id}-h">Heads <input id="${id}-h" class="cw-heads" type="range" min="1" max="12">
        <output for="${id}-h"></output></label>
      <label><input type="checkbox" class="cw-causal"> causal mask</label>
    </div>
    <div class="cw-row"><figure class="cw-cell"><figcaption>weight on each key, a row for each head</figcaption></figure>
    <table class="cw-table"><caption>What the heads see</caption><thead><tr><th scope="col">head</th>
      <th scope="col">slope</th><th scope="col">weight on itself</th><th scope="col">90 % within</th></tr></thead>
      <tbody></tbody></table></div>
    <p class="cw-status" role="status"></p>`;
  const find = (selector) => el.querySelector(selector);
  const svg = svgNode("svg", { class: "cw-strips", role: "img" }, find("figure"));
  const show = [
    bind(model, "query", find(".cw-place"), { read: Number }),
    bind(model, "heads", find(".cw-heads"), { read: Number }),
    bind(model, "causal", find(".cw-causal"), { property: "checked", event: "change" }),
  ];

  function draw() {
    const state = Object.fromEntries(["heads", "n", "query", "causal"].map((trait) => [trait, model.get(trait)]));
    const weights = alibiWeights(state);
    const slopes = alibiSlopes(state.heads);
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${n * 10} ${state.heads * 20}`);
    find("tbody").replaceChildren();
    weights.forEach((row, h) => {
      const most = Math.max(...row);
      row.forEach((w, j) => svgNode("rect", { x: 10 * j, y: 20 * h + 2, width: 10, height: 16, class: "cw-strip", "fill-opacity": (w / most).toFixed(3) }, svg));
      const line = find("tbody").insertRow();
      line.innerHTML = '<th scope="row"></th><td></td><td class="cw-number"></td><td></td>';
      const within = reach(row, state.query);
      [h + 1, slopes[h].toPrecision(3), fixed(row[state.query], 3), `${within} token${within === 1 ? "" : "s"}`]
        .forEach((text, i) => { line.children[i].textContent = text; });
    });
    for (const f of show) f();
    const [place, heads] = el.querySelectorAll("output");
    place.textContent = state.query;
    heads.textContent = state.heads;
    const ends = [reach(weights[0], state.query), reach(weights.at(-1), state.query)];
    const text = `Query at ${state.query} of ${n} tokens: head 1 holds 90 % of its weight within ${ends[0]}, head ${state.heads} within ${ends[1]}`;
    find(".cw-status").textContent = `${text}.`;
    svg.setAttribute("aria-label", `${text}.`);
  }
  return redraw(model, ["heads", "n", "query", "causal"], draw);
}
export default { render };
