"use strict";
const root = document.documentElement;
const figures = JSON.parse(document.getElementById("data").textContent).figures;
const plots = [...document.querySelectorAll(".plot")];
const options = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d"] };

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
  return layout;
}

async function paint() {
  for (const plot of plots) {
    const figure = figures[Number(plot.dataset.figure)];
    await Plotly.react(plot, figure.data, layoutOf(figure), options);
  }
  root.dataset.ready = "yes";
}

const themes = ["auto", "light", "dark"];
const button = document.getElementById("theme");
let theme = 0;
button.addEventListener("click", () => {
  theme = (theme + 1) % themes.length;
  if (theme) root.dataset.theme = themes[theme];
  else delete root.dataset.theme;
  button.textContent = `Theme: ${themes[theme]}`;
  paint();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) {
    details.dataset.was = details.open ? "open" : "";
    details.open = details.querySelectorAll("tr").length <= 60;
  }
});
addEventListener("afterprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = details.dataset.was === "open";
});
paint();
