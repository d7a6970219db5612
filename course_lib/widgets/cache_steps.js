// Writing with and without a cache: what is computed at a step, and what has been computed so far.

/** Tokens read and scores computed at step `step` after a prompt of `prompt` tokens. */
export function costOf(prompt, step, cached) {
  const seen = prompt + step;
  const pairs = (n) => (n * (n + 1)) / 2; // each token and all up to itself
  if (!cached) return { tokens: seen, scores: pairs(seen) };
  return step === 0 ? { tokens: prompt, scores: pairs(prompt) } : { tokens: 1, scores: seen };
}

/** The same, summed over steps 0 to `step`. */
export function costSoFar(prompt, step, cached) {
  const all = Array.from({ length: step + 1 }, (_, s) => costOf(prompt, s, cached));
  return { tokens: all.reduce((sum, c) => sum + c.tokens, 0), scores: all.reduce((sum, c) => sum + c.scores, 0) };
}

/** What happens to the score of token i with token j: "anew", "kept" (done at an earlier step) or "none". */
export function cellState(i, j, prompt, step, cached) {
  const seen = prompt + step;
  if (j > i || i >= seen) return "none";
  return !cached || step === 0 || i === seen - 1 ? "anew" : "kept";
}

function render({ model, el }) {
  const id = newId("cache");
  const [words, prompt] = ["words", "prompt"].map((t) => model.get(t));
  const [n, side, left, top] = [words.length, 20, 70, 62];
  const last = n - 1 - prompt;
  el.classList.add("cw");
  keepKeys(el);
  el.innerHTML = `
    <div class="cw-controls">
      <label for="${id}-s">Step <input id="${id}-s" class="cw-step" type="range" min="0" max="${last}" step="1"><output></output></label>
      <label><input type="checkbox" class="cw-cached"> keep keys and values</label>
    </div>
    <div class="cw-row">
      <figure class="cw-cell"><figcaption>who is compared with whom</figcaption>
        <svg class="cw-scores" viewBox="0 0 ${left + n * side + 4} ${top + n * side + 4}" role="img"></svg></figure>
      <table class="cw-table"><caption>Computed</caption>
        <thead><tr><th scope="col"></th><th scope="col">at this step</th><th scope="col">so far</th>
          <th scope="col">so far without cache</th></tr></thead>
        <tbody><tr class="cw-tokens"><th scope="row">tokens read</th><td></td><td></td><td></td></tr>
          <tr class="cw-pairs"><th scope="row">scores</th><td></td><td></td><td></td></tr></tbody></table>
    </div>
    <p class="cw-status" role="status"></p>`;
  const find = (selector) => el.querySelector(selector);
  const svg = find(".cw-scores");
  const rows = words.map((word, i) => {
    const names = [
      svgNode("text", { x: left - 6, y: top + i * side + 15, "text-anchor": "end" }, svg, word),
      svgNode("text", { transform: `translate(${left + i * side + 14} ${top - 6}) rotate(-55)` }, svg, word),
    ];
    const cells = words.slice(0, i + 1).map((_, j) =>
      svgNode("rect", { x: left + j * side + 1, y: top + i * side + 1, width: side - 2, height: side - 2 }, svg));
    return { names, cells };
  });
  const showStep = bind(model, "step", find(".cw-step"), { read: Number });
  const showCached = bind(model, "cached", find(".cw-cached"), { property: "checked", event: "change" });

  function draw() {
    const [step, cached] = ["step", "cached"].map((t) => model.get(t));
    showStep();
    showCached();
    rows.forEach(({ names, cells }, i) => {
      for (const name of names) name.classList.toggle("cw-unread", i >= prompt + step);
      cells.forEach((cell, j) => cell.setAttribute("class", `cw-score-${cellState(i, j, prompt, step, cached)}`));
    });
    const [now, sum, without] = [costOf(prompt, step, cached), costSoFar(prompt, step, cached), costSoFar(prompt, step, false)];
    for (const [row, kind] of [[".cw-tokens", "tokens"], [".cw-pairs", "scores"]]) {
      [now, sum, without].forEach((cost, i) => { find(row).querySelectorAll("td")[i].textContent = String(cost[kind]); });
    }
    find("output").textContent = `${step} of ${last}`;
    const said = `To draw “${words[prompt + step]}”: ${now.tokens} token${now.tokens === 1 ? "" : "s"} read, ${now.scores} scores computed anew`;
    find(".cw-status").textContent = `${said}; so far ${sum.tokens} tokens and ${sum.scores} scores.`;
    svg.setAttribute("aria-label", `Triangle of scores, ${n} words. ${said}.`);
  }
  return redraw(model, ["step", "cached"], draw);
}
export default { render };
