// One query, some keys and their values in the plane: move them and watch the weights and the output.

export function attendOne({ query, keys, values, allowed, temperature = 1, scaled = true }) {
  const scores = scoresOf(query, keys, scaled);
  const weights = softmax(scores.map((s) => s / temperature), allowed);
  return { scores, weights, output: combine(weights, values) };
}

function render({ model, el }) {
  const id = newId("plane");
  const tokens = model.get("tokens");
  el.classList.add("cw");
  keepKeys(el);
  el.innerHTML = `
    <p class="cw-help">Drag the query <b>q</b> or a key, or focus one and press the arrow keys (with Shift: finer).
      Untick a key to mask it.</p>
    <div class="cw-row">
      <figure class="cw-cell cw-keys"><figcaption>query and keys</figcaption></figure>
      <figure class="cw-cell cw-values"><figcaption>values and output</figcaption></figure>
      <table class="cw-table"><caption>One row of attention</caption>
        <thead><tr><th scope="col">may attend</th><th scope="col">token</th><th scope="col">score</th>
          <th scope="col">weight</th></tr></thead><tbody></tbody></table>
    </div>
    <div class="cw-controls">
      <label for="${id}-t">Temperature <input id="${id}-t" class="cw-temperature" type="range" min="0.1" max="4" step="0.05">
        <output for="${id}-t"></output></label>
      <label><input type="checkbox" class="cw-scaled"> divide scores by √d (d = 2)</label>
    </div>
    <p class="cw-status" role="status"></p>`;
  const find = (selector) => el.querySelector(selector);
  const left = plane(find(".cw-keys"), { label: "Plane of the query and the keys" });
  const right = plane(find(".cw-values"), { label: "Plane of the values and the output" });

  const handle = (trait, index, name) => {
    const group = svgNode("g", { class: index < 0 ? "cw-query" : "cw-key" }, left.svg);
    const get = () => (index < 0 ? model.get(trait) : model.get(trait)[index]);
    movable(group, left, name, get, (point) => {
      model.set(trait, index < 0 ? point : model.get(trait).map((p, i) => (i === index ? point : [...p])));
      model.save_changes();
    });
    return group;
  };
  const keys = tokens.map((token, i) => {
    const group = handle("key_points", i, `key of ${token}`);
    svgNode("circle", { r: 14, class: "cw-target" }, group);
    svgNode("circle", { class: "cw-mark" }, group);
    svgNode("text", { "text-anchor": "middle", dy: -18 }, group, token);
    return group;
  });
  const query = handle("query", -1, "query");
  svgNode("path", { d: "M0-13 13 0 0 13-13 0Z", class: "cw-mark" }, query);
  svgNode("text", { "text-anchor": "middle", dy: 4 }, query, "q");

  const values = tokens.map((token) => {
    const line = svgNode("line", { class: "cw-pull" }, right.svg);
    const group = svgNode("g", { class: "cw-value" }, right.svg);
    const mark = svgNode("rect", { class: "cw-mark" }, group);
    svgNode("text", { "text-anchor": "middle", dy: -16 }, group, token);
    return { line, group, mark };
  });
  const output = svgNode("g", { class: "cw-output" }, right.svg);
  svgNode("path", { d: "M-9-9 9 9M-9 9 9-9", class: "cw-mark" }, output);
  svgNode("text", { "text-anchor": "middle", dy: 24 }, output, "output");

  const rows = tokens.map((token, i) => {
    const row = find("tbody").insertRow();
    row.innerHTML = `<td><input type="checkbox"></td><th scope="row"></th><td class="cw-score"></td>
      <td class="cw-weight"><span class="cw-number"></span><span class="cw-bar"></span></td>`;
    row.querySelector("th").textContent = token;
    const box = row.querySelector("input");
    box.setAttribute("aria-label", `may attend to ${token}`);
    box.addEventListener("change", () => {
      model.set("allowed", model.get("allowed").map((a, j) => (j === i ? box.checked : a)));
      model.save_changes();
    });
    return { row, box };
  });
  const showT = bind(model, "temperature", find(".cw-temperature"), { read: Number });
  const showScaled = bind(model, "scaled", find(".cw-scaled"), { property: "checked", event: "change" });

  function draw() {
    const state = Object.fromEntries(["query", "allowed", "temperature", "scaled"].map((t) => [t, model.get(t)]));
    const [keyPoints, valuePoints] = [model.get("key_points"), model.get("value_points")];
    const result = attendOne({ ...state, keys: keyPoints, values: valuePoints });
    placeHandle(query, left, state.query);
    const [ox, oy] = right.at(result.output);
    output.setAttribute("transform", `translate(${ox} ${oy})`);
    tokens.forEach((_, i) => {
      const [weight, open] = [result.weights[i], state.allowed[i]];
      placeHandle(keys[i], left, keyPoints[i]);
      keys[i].querySelector(".cw-mark").setAttribute("r", 5 + 10 * weight);
      keys[i].classList.toggle("cw-masked", !open);
      const [x, y] = right.at(valuePoints[i]);
      const { line, group, mark } = values[i];
      group.setAttribute("transform", `translate(${x} ${y})`);
      group.classList.toggle("cw-masked", !open);
      const side = 8 + 16 * weight;
      for (const [key, value] of Object.entries({ x: -side / 2, y: -side / 2, width: side, height: side })) mark.setAttribute(key, value);
      for (const [key, value] of Object.entries({ x1: x, y1: y, x2: ox, y2: oy, "stroke-width": 6 * weight })) line.setAttribute(key, value);
      const { row, box } = rows[i];
      box.checked = open;
      row.querySelector(".cw-score").textContent = fixed(result.scores[i], 3);
      row.querySelector(".cw-number").textContent = open ? fixed(weight, 3) : "0 (masked)";
      row.querySelector(".cw-bar").style.width = `${(100 * weight).toFixed(1)}%`;
    });
    showT();
    showScaled();
    find("output").textContent = fixed(state.temperature, 2);
    const at = `output (${result.output.map((x) => fixed(x, 3)).join(", ")})`;
    const top = result.weights.indexOf(Math.max(...result.weights));
    find(".cw-status").textContent = state.allowed.some(Boolean)
      ? `Largest weight: ${tokens[top]}, ${fixed(result.weights[top], 3)}; ${at}.`
      : `No key may be attended to: every weight is 0; ${at}.`;
  }
  return redraw(model, ["query", "key_points", "value_points", "allowed", "temperature", "scaled"], draw);
}
export default { render };
