(() => {
  "use strict";
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");

  // The switch between light and dark: what the reader's system says, until it is pressed.
  const button = document.getElementById("theme");
  const now = () => root.dataset.theme || (dark.matches ? "dark" : "light");
  const name = () => { button.textContent = now() === "dark" ? "Light colours" : "Dark colours"; };
  button.addEventListener("click", () => { root.dataset.theme = now() === "dark" ? "light" : "dark"; name(); });
  dark.addEventListener("change", name);
  name();

  // Tables: sorting by the buttons in their heads, filtering by text and by the values of a column.
  const value = (row, at) => {
    const cell = row.cells[at];
    return cell.dataset.v === undefined ? cell.textContent.trim() : cell.dataset.v;
  };
  const compare = (a, b) => {
    if (a === "" || b === "") return a === b ? 0 : a === "" ? 1 : -1;
    const x = Number(a), y = Number(b);
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, "en", {numeric: true}) : x - y;
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0], first = [...body.rows];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, at) => head.querySelector("button").addEventListener("click", () => {
      const was = head.getAttribute("aria-sort");
      const next = was === "none" ? "ascending" : was === "ascending" ? "descending" : "none";
      for (const other of heads) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", next);
      const rows = [...first];
      if (next !== "none") rows.sort((a, b) => {
        const order = compare(value(a, at), value(b, at));
        const empty = value(a, at) === "" || value(b, at) === "";
        return next === "descending" && !empty ? -order : order;
      });
      body.append(...rows);
    }));
    const box = document.querySelector(`.of-table[data-table="${table.id}"]`);
    if (!box) continue;
    const text = box.querySelector("input"), picks = [...box.querySelectorAll("select")];
    const count = box.querySelector(".count");
    const filter = () => {
      const wanted = text.value.trim().toLowerCase();
      let shown = 0;
      for (const row of first) {
        const fits = (!wanted || row.textContent.toLowerCase().includes(wanted)) &&
          picks.every((pick) => !pick.value || value(row, Number(pick.dataset.column)) === pick.value);
        row.hidden = !fits;
        shown += fits;
      }
      count.textContent = `${shown.toLocaleString("en")} of ${first.length.toLocaleString("en")} rows`;
    };
    text.addEventListener("input", filter);
    for (const pick of picks) pick.addEventListener("change", filter);
    filter();
  }

  // Plots, by the interpreter of expressions: no text is run as a program.
  const options = {mode: "vega", renderer: "svg", actions: false, ast: true, logLevel: 1,
                   tooltip: {disableDefaultStyle: true}};
  const draw = async (plot) => {
    const spec = JSON.parse(document.getElementById(plot.dataset.spec).textContent);
    const {view} = await vegaEmbed(plot, spec, options);
    // The element around it is the picture, with its description; marks without names say nothing to a listener.
    for (const part of plot.children) part.setAttribute("aria-hidden", "true");
    const picks = document.querySelectorAll(`select[data-plot="${plot.id}"]`);
    const choose = async () => {
      for (const pick of picks) view.signal(pick.dataset.signal, pick.value);
      await view.runAsync();
    };
    for (const pick of picks) pick.addEventListener("change", choose);
    await choose();
    plot.dataset.drawn = "yes";
  };
  const all = async () => {
    for (const plot of document.querySelectorAll(".plot")) {
      try {
        await draw(plot);
      } catch (error) {
        plot.textContent = "This plot cannot be drawn here; its values are in the table below.";
        console.error(error);
      }
    }
    root.dataset.ready = "yes";
  };
  all();
})();
