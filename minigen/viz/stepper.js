(() => {
  const places = document.querySelectorAll("div.minigen-trace:not([data-ready])");
  for (const place of places) {
    place.dataset.ready = "";
    build(place, JSON.parse(place.querySelector("script").textContent));
  }

  function build(place, data) {
    const root = place.attachShadow({ mode: "open" });
    const W = 132, H = 60;
    const make = (tag, attributes = {}, ...inside) => {
      const svg = ["svg", "g", "path", "rect", "text", "defs", "marker"].includes(tag);
      const e = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
      for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
      e.append(...inside);
      return e;
    };
    const short = (t) => (t.length > 17 ? t.slice(0, 16) + "…" : t);
    const style = make("style");
    style.textContent = `
      :host { display: block; margin: 1em 0; color: inherit; --forward: #3b82f6; --backward: #e0662f; }
      * { box-sizing: border-box; }
      .bar { display: flex; gap: .4em; align-items: center; flex-wrap: wrap; margin-bottom: .5em; }
      button { font: inherit; color: inherit; background: none; border: 1px solid currentColor; border-radius: .4em;
               padding: .15em .7em; cursor: pointer; min-width: 2.6em; min-height: 2.2em; }
      button:disabled { opacity: .3; cursor: default; }
      input { flex: 1 1 8em; min-width: 5em; accent-color: var(--now); }
      .both { display: flex; gap: 1.2em; align-items: flex-start; }
      .graph { flex: 1 1 55%; min-width: 0; max-height: 70vh; overflow: auto; }
      .said { flex: 1 1 45%; min-width: 0; }
      svg { display: block; margin: 0 auto; height: auto; color: inherit; font: 12px ui-monospace, monospace; }
      rect { fill: none; stroke: currentColor; stroke-opacity: .35; rx: 8; }
      text { fill: currentColor; text-anchor: middle; }
      text.v { opacity: .8; } text.g { fill: var(--backward); }
      path.a { fill: none; stroke: currentColor; stroke-opacity: .25; stroke-width: 1.5; }
      .later { opacity: .35; }
      g.on rect { stroke: var(--now); stroke-opacity: 1; stroke-width: 2.5; }
      path.on { stroke: var(--now); stroke-opacity: 1; stroke-width: 2.5; }
      h4 { margin: 0 0 .4em; font-size: 1em; } h4 small { color: var(--now); font-weight: normal; }
      .f { margin: .2em 0 .6em; font-family: ui-monospace, monospace; font-size: .92em; white-space: pre-wrap; }
      .row { margin: .25em 0; overflow-x: auto; font-size: .92em; }
      table { border-collapse: collapse; display: inline-table; vertical-align: middle; margin: .1em 0; font-size: .92em; }
      td { border: 1px solid color-mix(in srgb, currentColor 25%, transparent); padding: .05em .4em; text-align: right;
           font-family: ui-monospace, monospace; }
      code { font-family: ui-monospace, monospace; }
      @media (max-width: 640px) { .both { flex-direction: column-reverse; align-items: stretch; } .said { min-height: 9em; } }`;

    const slider = make("input", { type: "range", min: 0, max: data.steps.length, value: 0, "aria-label": "step" });
    const button = (label, title, to) => {
      const b = make("button", { type: "button", title, "aria-label": title }, label);
      b.addEventListener("click", () => go(to()));
      return b;
    };
    const buttons = [
      button("|◀", "first step", () => 0), button("◀", "one step back", () => at - 1),
      button("▶", "one step on", () => at + 1), button("▶|", "last step", () => data.steps.length),
    ];
    slider.addEventListener("input", () => go(+slider.value));
    const count = make("span", { "aria-live": "polite" });
    const bar = make("div", { class: "bar" }, ...buttons, slider, count);

    const svg = make("svg", { viewBox: `0 0 ${data.width} ${data.height}`, width: data.width, height: data.height });
    svg.style.maxWidth = data.width < 640 ? "100%" : "none"; // a wide graph scrolls
    const arrows = data.paths.map((d) => make("path", { class: "a", d }));
    svg.append(...arrows);
    const boxes = data.boxes.map((b) => {
      const line = (y, c, t) => make("text", { x: b.x, y: b.y + y, class: c }, t);
      const g = make("g", {}, make("rect", { x: b.x - W / 2, y: b.y - H / 2, width: W, height: H }));
      const value = line(4, "v", ""), gradient = line(21, "g", "");
      const title = make("text", { x: b.x, y: b.y - 13 }, short(b.op ? `${b.name} = ${b.op}` : b.name));
      title.style.fontWeight = "bold";
      g.append(title, value, gradient);
      svg.append(g);
      return { g, value, gradient };
    });
    const graph = make("div", { class: "graph" }, svg), said = make("div", { class: "said" });
    const frame = make("div", { tabindex: 0, role: "group", "aria-label": "a computation, step by step" },
      bar, make("div", { class: "both" }, graph, said));
    root.append(style, frame);
    frame.addEventListener("keydown", (e) => {
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: data.steps.length }[e.key];
      if (to === undefined || e.target === slider) return;
      e.preventDefault();
      go(to);
    });

    const numbers = (v) => typeof v === "string" ? make("code", {}, v)
      : make("table", {}, ...v.map((row) => make("tr", {}, ...row.map((c) => make("td", {}, c)))));
    const row = (...inside) => make("div", { class: "row" }, ...inside);
    const line = (l) => ({
      is: ([, f]) => make("div", { class: "f" }, f),
      in: ([, x, of, v]) => row(make("code", {}, x), ` is ${of} = `, numbers(v)),
      out: ([, y, v]) => row(make("code", {}, y), " = ", numbers(v)),
      to: ([, x, to, v, before, sum]) => before === null
        ? row("to ", make("code", {}, to), `, its ${x}: `, numbers(v))
        : row("to ", make("code", {}, to), `, its ${x}, where it is added: `,
              numbers(before), " + ", numbers(v), " = ", numbers(sum)),
    })[l[0]](l);

    let at = 0;
    function go(to) {
      at = Math.max(0, Math.min(data.steps.length, to));
      const step = data.steps[at - 1], now = step ? step.phase : "forward";
      root.host.style.setProperty("--now", `var(--${now})`);
      const known = new Map(data.boxes.map((b, i) => [i, b.op ? "" : b.value])), gradients = new Map();
      for (const s of data.steps.slice(0, at)) {
        if (s.phase === "forward") known.set(s.box, data.boxes[s.box].value);
        for (const [i, g] of Object.entries(s.gradients || {})) gradients.set(+i, g);
      }
      boxes.forEach(({ g, value, gradient }, i) => {
        g.setAttribute("class", (step && step.box === i ? "on" : "") + (known.get(i) === "" ? " later" : ""));
        value.textContent = short(known.get(i));
        gradient.textContent = gradients.has(i) ? short("∂ " + gradients.get(i)) : "";
      });
      arrows.forEach((a, i) => a.setAttribute("class", "a" + (step && step.arrows.includes(i) ? " on" : "")));
      said.replaceChildren(...(step
        ? [make("h4", {}, make("small", {}, step.phase + "  "), step.title), ...step.lines.map(line)]
        : [make("h4", {}, "Before the first step"), row("The leaves have their values. ▶ or the arrow keys go on.")]));
      count.textContent = `${at} / ${data.steps.length}`;
      slider.value = at;
      buttons[0].disabled = buttons[1].disabled = at === 0;
      buttons[2].disabled = buttons[3].disabled = at === data.steps.length;
      if (step && graph.scrollHeight > graph.clientHeight)
        graph.scrollTop = data.boxes[step.box].y * (svg.clientHeight / data.height) - graph.clientHeight / 2;
    }
    go(0);
  }
})();
