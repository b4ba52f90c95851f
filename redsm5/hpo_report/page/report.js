"use strict";
const root = document.documentElement;
const figures = JSON.parse(document.getElementById("data").textContent).figures;
const plots = [...document.querySelectorAll(".plot")];
const options = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d"] };

const paperWidthPx = 700; // of A4 between the margins of a printer
let paperWidth = 0; // while the page is printed

/* Colours of the scheme that is shown now: figures have none of their own. */
function colours() {
  const probe = document.createElement("i");
  document.body.append(probe);
  const read = name => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const found = { ink: read("ink"), soft: read("soft"), line: read("line"), paper: read("paper") };
  probe.remove();
  return found;
}

function layoutOf(figure) {
  const { ink, soft, line, paper } = colours();
  const layout = structuredClone(figure.layout);
  const family = getComputedStyle(document.body).fontFamily;
  layout.font = { ...layout.font, color: ink, family, size: 12.5 };
  layout.hoverlabel = { ...layout.hoverlabel, bgcolor: paper, bordercolor: line, font: { color: ink } };
  for (const name of Object.keys(layout)) {
    if (!/^[xy]axis\d*$/.test(name)) continue;
    layout[name] = { gridcolor: line, zeroline: false, linecolor: line, tickcolor: soft, ...layout[name] };
  }
  for (const note of layout.annotations ?? []) note.bgcolor = paper;
  if (paperWidth) layout.width = paperWidth;
  return layout;
}

function paint() {
  const drawn = plots.map(plot => {
    const figure = figures[plot.dataset.figure];
    return Plotly.react(plot, structuredClone(figure.data), layoutOf(figure), options);
  });
  return Promise.all(drawn).then(() => { root.dataset.ready = "yes"; });
}

const themes = ["auto", "light", "dark"];
const button = document.getElementById("theme");
let theme = 0;
function show(name) {
  if (name === "auto") delete root.dataset.theme;
  else root.dataset.theme = name;
}
button.addEventListener("click", () => {
  theme = (theme + 1) % themes.length;
  show(themes[theme]);
  button.textContent = `Theme: ${themes[theme]}`;
  paint();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);

/* Paper is light and narrow, and has what the reader opened, and every table that is not long. */
const mostRows = 60;
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) {
    details.dataset.was = details.open ? "open" : "";
    details.open ||= details.querySelectorAll("tr").length <= mostRows;
  }
  show("light");
  paperWidth = paperWidthPx;
  paint();
});
addEventListener("afterprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = details.dataset.was === "open";
  show(themes[theme]);
  paperWidth = 0;
  paint().then(() => plots.forEach(plot => Plotly.Plots.resize(plot))); // a width that was given stays until then
});
paint();
