// A query and a key, each turned by its position: their product depends on the distance alone.

/** Turn each pair of neighbouring channels by position / base^(2i/d) radians. */
export function turn(x, position, base) {
  return x.map((_, c) => {
    const first = c - (c % 2);
    const angle = position / base ** (first / x.length);
    const [a, b] = [x[first], x[first + 1]];
    return c % 2 ? a * Math.sin(angle) + b * Math.cos(angle) : a * Math.cos(angle) - b * Math.sin(angle);
  });
}

/** The score of a query and a key at their places. */
export function rotaryScore(query, key, queryPlace, keyPlace, base) {
  return dot(turn(query, queryPlace, base), turn(key, keyPlace, base)) / Math.sqrt(query.length);
}

function render({ model, el }) {
  const id = newId("rope");
  const [last, width, height, margin] = [60, 480, 200, 24];
  el.classList.add("cw");
  keepKeys(el);
  el.innerHTML = `
    <p class="cw-help">Drag the sliders, or focus one and press the arrow keys. Then move both tokens together: the
      hands turn, the score stays.</p>
    <div class="cw-controls">
      <label for="${id}-q">Query at <input id="${id}-q" class="cw-query-place" type="range" min="0" max="${last}">
        <output for="${id}-q"></output></label>
      <label for="${id}-k">Key at <input id="${id}-k" class="cw-key-place" type="range" min="0" max="${last}">
        <output for="${id}-k"></output></label>
      <label for="${id}-b">Base <input id="${id}-b" class="cw-base" type="range" min="0.5" max="4" step="0.25">
        <output for="${id}-b"></output></label>
      <button type="button" class="cw-back">Both 5 back</button><button type="button" class="cw-on">Both 5 on</button>
    </div>
    <figure class="cw-wide"><figcaption>one dial for each pair of channels: query (orange), key (blue)</figcaption></figure>
    <figure class="cw-wide"><figcaption>score against the distance, query minus key</figcaption></figure>
    <p class="cw-status" role="status"></p>`;
  const find = (selector) => el.querySelector(selector);
  const [dialFigure, curveFigure] = el.querySelectorAll("figure");
  const pairs = model.get("query").length / 2;
  const dials = svgNode("svg", { viewBox: `0 0 ${pairs * 110} 110`, class: "cw-dials", role: "img" }, dialFigure);
  const hands = Array.from({ length: pairs }, (_, i) => {
    const group = svgNode("g", { transform: `translate(${110 * i + 55} 55)` }, dials);
    svgNode("circle", { r: 46, class: "cw-rim" }, group);
    return ["cw-hand-key", "cw-hand-query"].map((kind) => svgNode("line", { x1: 0, y1: 0, class: kind }, group));
  });
  const plot = svgNode("svg", { viewBox: `0 0 ${width} ${height}`, class: "cw-plot", role: "img" }, curveFigure);
  const x = (distance) => margin + ((distance + last) / (2 * last)) * (width - 2 * margin);
  const largest = Math.hypot(...model.get("query")) * Math.hypot(...model.get("key")) / Math.sqrt(2 * pairs) || 1;
  const y = (score) => height / 2 - 0.4 * height * (score / largest);
  svgNode("line", { x1: margin, x2: width - margin, y1: y(0), y2: y(0), class: "cw-axis" }, plot);
  for (const tick of [-last, -last / 2, 0, last / 2, last]) {
    svgNode("line", { x1: x(tick), x2: x(tick), y1: 12, y2: height - 20, class: "cw-axis" }, plot);
    svgNode("text", { x: x(tick), y: height - 4, "text-anchor": "middle" }, plot, String(tick).replace("-", "\u2212"));
  }
  const curve = svgNode("polyline", { class: "cw-curve" }, plot);
  const here = svgNode("circle", { r: 7, class: "cw-here" }, plot);

  const move = (by) => {
    const places = ["query_place", "key_place"].map((trait) => model.get(trait));
    // both move by as much, or the distance would change at the end of the scale
    const step = by > 0 ? Math.min(by, last - Math.max(...places)) : -Math.min(-by, Math.min(...places));
    model.set("query_place", places[0] + step);
    model.set("key_place", places[1] + step);
    model.save_changes();
  };
  find(".cw-back").addEventListener("click", () => move(-5));
  find(".cw-on").addEventListener("click", () => move(5));
  const show = [
    bind(model, "query_place", find(".cw-query-place"), { read: Number }),
    bind(model, "key_place", find(".cw-key-place"), { read: Number }),
    bind(model, "exponent", find(".cw-base"), { read: Number }),
  ];

  function draw() {
    const [query, key, m, n] = ["query", "key", "query_place", "key_place"].map((trait) => model.get(trait));
    const base = 10 ** model.get("exponent");
    const turned = [turn(key, n, base), turn(query, m, base)];
    const score = rotaryScore(query, key, m, n, base);
    hands.forEach((both, i) => both.forEach((hand, which) => {
      const [a, b] = turned[which].slice(2 * i, 2 * i + 2);
      const long = (which ? 34 : 44) / (Math.hypot(a, b) || 1);
      hand.setAttribute("x2", a * long);
      hand.setAttribute("y2", -b * long);
    }));
    const points = Array.from({ length: 2 * last + 1 }, (_, i) => i - last);
    curve.setAttribute("points", points.map((d) => `${x(d).toFixed(1)},${y(rotaryScore(query, key, d, 0, base)).toFixed(1)}`).join(" "));
    here.setAttribute("cx", x(m - n));
    here.setAttribute("cy", y(score));
    for (const f of show) f();
    const [atQuery, atKey, atBase] = el.querySelectorAll("output");
    atQuery.textContent = m;
    atKey.textContent = n;
    atBase.textContent = base.toFixed(base < 100 ? 1 : 0);
    const text = `Query at ${m}, key at ${n}: distance ${fixed(m - n, 0)}, score ${fixed(score, 3)}`;
    find(".cw-status").textContent = `${text}.`;
    dials.setAttribute("aria-label", `${pairs} dials with the turned query and key. ${text}.`);
    plot.setAttribute("aria-label", `Curve of the score against the distance, with a dot at the present one. ${text}.`);
  }
  return redraw(model, ["query", "key", "query_place", "key_place", "exponent"], draw);
}
export default { render };
