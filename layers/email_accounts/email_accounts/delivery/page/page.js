"use strict";
(() => {
  const body = document.querySelector("tbody");
  const rows = [...body.rows].map((row) => ({
    row,
    text: row.textContent.toLowerCase(),
    cells: [...row.cells].map((cell) => cell.textContent.trim().toLowerCase()),
    number: Number(row.cells[0].textContent.replaceAll(",", "")),
  }));

  const search = document.getElementById("search");
  const found = document.getElementById("found");
  search.addEventListener("input", () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const { row, text } of rows) {
      row.hidden = !words.every((word) => text.includes(word));
      count += row.hidden ? 0 : 1;
    }
    found.textContent = words.length ? `${count} of ${rows.length} rows` : "";
  });
  document.getElementById("tools").hidden = false;

  const headers = [...document.querySelectorAll("th")];
  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      const down = header.getAttribute("aria-sort") === "ascending";
      headers.forEach((other) => other.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", down ? "descending" : "ascending");
      const sign = down ? -1 : 1;
      rows.sort((one, other) => {
        const order = column ? one.cells[column].localeCompare(other.cells[column]) : 0;
        return sign * (order || one.number - other.number);
      });
      body.append(...rows.map(({ row }) => row));
    });
  });
})();
