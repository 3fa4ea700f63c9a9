// A click on a column's head sorts the table by it, another click the other way round.
"use strict";

function value(row, column) {
  const text = row.cells[column].textContent.trim();
  const number = Number(text.replace(/,/g, ""));
  return text === "" || Number.isNaN(number) ? text : number;
}

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, column) => head.addEventListener("click", () => {
    const up = head.dataset.order !== "↑";
    for (const other of heads) delete other.dataset.order;
    head.dataset.order = up ? "↑" : "↓";
    const rows = Array.from(table.tBodies[0].rows);
    rows.sort((a, b) => {
      const [x, y] = [value(a, column), value(b, column)];
      const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
      return up ? order : -order;
    });
    table.tBodies[0].append(...rows);
  }));
}
