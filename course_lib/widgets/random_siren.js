// A random SIREN of one coordinate: its curve, its spectrum and the spread of what its sines are taken of.

/** Numbers in [0, 1) from a seed (mulberry32). */
export function uniform(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Layers {weight [out][in], bias [out]} drawn as the course's Siren draws them: `depth` sine layers, a linear one. */
export function drawSiren({ seed, width, depth, omega }) {
  const draw = uniform(seed);
  const within = (bound) => (2 * draw() - 1) * bound;
  return Array.from({ length: depth + 1 }, (_, i) => {
    const fanIn = i ? width : 1;
    const bound = i ? Math.sqrt(6 / fanIn) / omega : 1 / fanIn;
    const outs = i === depth ? 1 : width;
    return {
      weight: Array.from({ length: outs }, () => Array.from({ length: fanIn }, () => within(bound))),
      bias: Array.from({ length: outs }, () => within(1 / Math.sqrt(fanIn))),
    };
  });
}

/** The value at one point, and the arguments of the last sine layer there. */
export function evaluateSiren(layers, point, omega) {
  let x = point;
  let argument = [];
  layers.forEach(({ weight, bias }, i) => {
    const z = weight.map((row, j) => dot(row, x) + bias[j]);
    if (i === layers.length - 1) { x = z; return; }
    argument = z.map((v) => omega * v);
    x = argument.map(Math.sin);
  });
  return { value: x, argument };
}

/** Power at 0, 1, 2, ... periods over the stretch of the samples, less their mean, under a Hann window. */
export function powerSpectrum(samples) {
  const n = samples.length;
  const mean = samples.reduce((a, b) => a + b, 0) / n;
  const shown = samples.map((v, i) => (v - mean) * (0.5 - 0.5 * Math.cos((2 * Math.PI * i) / n)));
  return Array.from({ length: n / 2 }, (_, k) => {
    let [re, im] = [0, 0];
    shown.forEach((v, i) => { const a = (2 * Math.PI * k * i) / n; re += v * Math.cos(a); im += v * Math.sin(a); });
    return re * re + im * im;
  });
}

/** The smallest number of periods that has at least half of all power at or below it. */
export function medianFrequency(power) {
  const total = power.reduce((a, b) => a + b, 0);
  let sum = 0;
  return power.findIndex((p) => { sum += p; return sum >= total / 2; });
}

const standardDeviation = (values) => {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return Math.sqrt(values.reduce((a, v) => a + (v - mean) ** 2, 0) / values.length);
};

function render({ model, el }) {
  const id = newId("siren");
  el.classList.add("cw");
  keepKeys(el);
  el.innerHTML = `
    <p class="cw-help">An untrained SIREN. Change ω₀ and the number of sine layers, or draw other weights.</p>
    <div class="cw-controls">
      <label for="${id}-o">ω₀ <input id="${id}-o" class="cw-omega" type="range" min="1" max="100" step="1"> <output for="${id}-o"></output></label>
      <label for="${id}-d">Sine layers <input id="${id}-d" class="cw-depth" type="range" min="1" max="6" step="1"> <output for="${id}-d"></output></label>
      <button type="button" class="cw-redraw">Other weights</button>
    </div>
    <div class="cw-row">
      <figure class="cw-cell"><figcaption>value against the coordinate</figcaption></figure>
      <figure class="cw-cell"><figcaption>power against periods in [−1, 1]</figcaption></figure>
      <figure class="cw-cell"><figcaption>arguments of the last sine layer, −6 to 6</figcaption></figure>
    </div>
    <p class="cw-status" role="status"></p>`;
  const find = (selector) => el.querySelector(selector);
  const [curve, bars, heap] = [...el.querySelectorAll("figure")].map((parent) =>
    svgNode("svg", { viewBox: "0 0 320 160", class: "cw-plane", role: "img" }, parent));
  const line = svgNode("polyline", { class: "cw-curve" }, curve);
  const [power, counts] = [bars, heap].map((svg) => svgNode("path", { class: "cw-area" }, svg));
  const show = [
    bind(model, "omega", find(".cw-omega"), { read: Number }),
    bind(model, "depth", find(".cw-depth"), { read: Number }),
  ];
  find(".cw-redraw").addEventListener("click", () => { model.set("seed", model.get("seed") + 1); model.save_changes(); });
  const steps = (values, top) => {
    const w = 320 / values.length;
    return `M0 158${values.map((v, i) => `L${(i * w).toFixed(1)} ${(158 - (150 * v) / top).toFixed(1)}h${w.toFixed(1)}`).join("")}L320 158Z`;
  };

  function draw() {
    const given = Object.fromEntries(["omega", "depth", "width", "seed"].map((t) => [t, model.get(t)]));
    const layers = drawSiren(given);
    const n = 512;
    const points = Array.from({ length: n }, (_, i) => evaluateSiren(layers, [-1 + (2 * i) / n], given.omega));
    const values = points.map((p) => p.value[0]);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    line.setAttribute("points", values.map((v, i) => `${((320 * i) / n).toFixed(1)},${(150 - (140 * (v - low)) / (high - low || 1)).toFixed(1)}`).join(" "));
    const spectrum = powerSpectrum(values);
    power.setAttribute("d", steps(spectrum.slice(0, 128), Math.max(...spectrum) || 1));
    const args = points.flatMap((p) => p.argument);
    const heaps = new Array(48).fill(0);
    for (const a of args) { const at = Math.floor((a + 6) * 4); if (at >= 0 && at < 48) heaps[at] += 1; }
    counts.setAttribute("d", steps(heaps, Math.max(...heaps) || 1));
    for (const f of show) f();
    const [o, d] = el.querySelectorAll("output");
    o.textContent = fixed(given.omega, 0);
    d.textContent = String(given.depth);
    const text = `ω₀ ${fixed(given.omega, 0)}, ${given.depth} sine ${given.depth === 1 ? "layer" : "layers"}, draw ${given.seed}: `
      + `half of the power lies at or below ${medianFrequency(spectrum)} periods; `
      + `the last arguments have standard deviation ${fixed(standardDeviation(args), 2)}.`;
    find(".cw-status").textContent = text;
    ["The curve", "Its spectrum", "The arguments"].forEach((name, i) => [curve, bars, heap][i].setAttribute("aria-label", `${name}. ${text}`));
  }
  return redraw(model, ["omega", "depth", "width", "seed"], draw);
}
export default { render };
