// Brings a page's anywidgets to life without a kernel: it reads the state embedded in the page and hands
// each view a model with the part of Jupyter's interface that a widget's own code calls.
(() => {
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

  class Model {
    constructor({ state, buffers = [] }) {
      this.state = { ...state };
      this.listeners = new Map();
      for (const { data, path } of buffers) {
        let place = this.state;
        for (const key of path.slice(0, -1)) place = place[key];
        place[path.at(-1)] = new DataView(bytes(data).buffer);
      }
    }
    get(name) { return this.state[name]; }
    set(name, value) {
      if (JSON.stringify(this.state[name]) === JSON.stringify(value)) return;
      this.state[name] = value;
      for (const f of this.listeners.get(`change:${name}`) ?? []) f(this, value);
    }
    save_changes() { /* a page has no kernel to tell */ }
    send() { /* nor anyone to answer */ }
    on(name, f) { this.listeners.set(name, (this.listeners.get(name) ?? new Set()).add(f)); }
    off(name, f) { this.listeners.get(name)?.delete(f); }
  }

  const modules = new Map(); // one per source text: several widgets of a class share it
  function load(source) {
    if (!modules.has(source)) {
      const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
      modules.set(source, import(address).then((m) => m.default).finally(() => URL.revokeObjectURL(address)));
    }
    return modules.get(source);
  }
  const styles = new Set();
  function addStyle(text) {
    if (!text || styles.has(text)) return;
    styles.add(text);
    document.head.append(Object.assign(document.createElement("style"), { textContent: text }));
  }

  async function start() {
    const embedded = document.querySelector('script[type="application/vnd.jupyter.widget-state+json"]');
    const states = JSON.parse(embedded.textContent).state;
    const models = new Map();
    for (const view of document.querySelectorAll('script[type="application/vnd.jupyter.widget-view+json"]')) {
      const id = JSON.parse(view.textContent).model_id;
      const el = Object.assign(document.createElement("div"), { className: "afm-view" });
      view.replaceWith(el);
      try {
        if (!models.has(id)) models.set(id, new Model(states[id]));
        const model = models.get(id);
        addStyle(model.get("_css"));
        const widget = await load(model.get("_esm"));
        await widget.render({ model, el });
        el.dataset.ready = "true";
      } catch (error) {
        el.textContent = `This widget could not start: ${error.message}`;
        console.error(error);
      }
    }
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
