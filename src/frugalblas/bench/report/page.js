"use strict";
// Draws the charts and works the controls. Without it the page still has every number, in its tables.
(() => {
  const root = document.documentElement;
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const drawn = [];

  function draw(chart) {
    const figure = document.getElementById(chart.id);
    const canvas = figure.querySelector(".plot");
    const axes = chart.start.split(",");
    const hidden = new Set();
    let view = null;

    const room = () => (canvas.clientWidth > 700 ? 320 : 170); // pixels for the name of a bar
    const show = () =>
      vegaEmbed(
        canvas,
        { ...chart.specs[axes.join(",")], datasets: chart.datasets },
        { renderer: "svg", actions: false, tooltip: { disableDefaultStyle: true }, config: { axis: { labelLimit: room() } } },
      ).then((embedded) => {
        view = embedded.view;
        return filter();
      });
    const filter = () => view.signal("hidden", [...hidden]).runAsync();

    for (const button of figure.querySelectorAll("button[data-series]")) {
      button.addEventListener("click", () => {
        const name = button.dataset.series;
        const visible = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", String(visible));
        if (visible) hidden.delete(name);
        else hidden.add(name);
        filter();
      });
    }
    for (const button of figure.querySelectorAll("button[data-all]")) {
      button.addEventListener("click", () => {
        const visible = button.dataset.all === "show";
        for (const other of figure.querySelectorAll("button[data-series]")) {
          other.setAttribute("aria-pressed", String(visible));
          if (visible) hidden.delete(other.dataset.series);
          else hidden.add(other.dataset.series);
        }
        filter();
      });
    }
    for (const choice of figure.querySelectorAll("input[data-axis]")) {
      choice.addEventListener("change", () => {
        axes[choice.dataset.axis === "x" ? 0 : 1] = choice.value;
        show();
      });
    }
    return show();
  }

  const failed = (error) => {
    root.dataset.charts = "failed";
    console.error("the charts could not be drawn:", error);
  };

  const file = document.getElementById("download");
  if (file) {
    const text = document.getElementById("result").textContent;
    file.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  }

  const tables = [...document.querySelectorAll("details.numbers")];
  addEventListener("beforeprint", () => tables.forEach((table) => (table.open = true)));
  addEventListener("afterprint", () => tables.forEach((table) => (table.open = false)));

  try {
    for (const chart of read("charts")) drawn.push(draw(chart));
  } catch (error) {
    failed(error);
    return;
  }
  Promise.all(drawn).then(() => {
    root.dataset.charts = "drawn";
    tables.forEach((table) => (table.open = false));
  }, failed);
})();
