// Makes tables sortable: a button in every column header. Without this script the page is the same, unsorted.
"use strict";
(() => {
  const words = new Intl.Collator("en", { numeric: true });

  // Number of a cell, or its text; null where there is neither, which always comes last.
  const key = (row, column) => {
    const cell = row.cells[column];
    if (cell.dataset.sort !== undefined) return Number(cell.dataset.sort);
    const text = cell.textContent.trim();
    return text === "" || text === "–" ? null : text;
  };

  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b
      : typeof a === "number" ? -1
      : typeof b === "number" ? 1
      : words.compare(a, b);

  const sort = (table, column, direction) => {
    for (const body of table.tBodies) {
      // Rows move within their group, whose heading stays on top.
      const rows = [...body.rows].filter((row) => !row.classList.contains("group"));
      rows.forEach((row, place) => { row.dataset.place ??= place; });
      const keys = new Map(rows.map((row) => [row, key(row, column)]));
      rows.sort((a, b) => {
        const [x, y] = [keys.get(a), keys.get(b)];
        const order = direction === "none" || (x === null && y === null) ? 0
          : x === null ? 1
          : y === null ? -1
          : direction === "ascending" ? compare(x, y) : compare(y, x);
        return order || a.dataset.place - b.dataset.place;
      });
      body.append(...rows);
    }
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    const headers = [...table.querySelectorAll("th[data-column]")];
    for (const header of headers) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      // Columns of several groups share titles: "RMSE" of forces and of energies.
      if (header.dataset.label) button.setAttribute("aria-label", header.dataset.label);
      header.append(button);
      button.addEventListener("click", () => {
        const next = { ascending: "descending", descending: "none" }[header.ariaSort] ?? "ascending";
        for (const other of headers) other.removeAttribute("aria-sort");
        if (next !== "none") header.ariaSort = next;
        sort(table, Number(header.dataset.column), next);
      });
    }
  }

  // On paper nothing can be unfolded; the configuration alone would fill pages.
  const unfolded = [];
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details.aside:not([open]):not(:has(> pre))")) {
      details.open = true;
      unfolded.push(details);
    }
  });
  addEventListener("afterprint", () => { for (const details of unfolded.splice(0)) details.open = false; });
})();
