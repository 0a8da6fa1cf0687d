"use strict";

const statusLine = document.getElementById("status");

// Tables: the button of a heading sorts the rows by its column, and a second click reverses the order.
function sortRows(head) {
  const table = head.closest("table");
  const column = head.cellIndex;
  const before = head.getAttribute("aria-sort");
  const numeric = head.classList.contains("number");
  const descending = before === null ? numeric : before === "ascending";
  const key = (row) => {
    const cell = row.cells[column];
    return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent;
  };
  const order = (one, other) => {
    const [first, second] = [key(one), key(other)];
    const difference = typeof first === "number" && typeof second === "number"
      ? first - second : String(first).localeCompare(String(second));
    return descending ? -difference : difference;
  };
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", descending ? "descending" : "ascending");
  table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
  statusLine.textContent = `sorted by ${head.textContent}, ${descending ? "descending" : "ascending"}`;
}

for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => sortRows(button.closest("th")));
}

// Confusion matrices: cells describe themselves, arrow keys move between them, buttons reorder the genres.
function setUpMatrix(matrix) {
  const section = matrix.closest("details");
  const readout = section.querySelector(".readout");
  const body = matrix.tBodies[0];
  const describe = (cell) => {
    readout.textContent = cell.getAttribute("aria-label");
    readout.classList.add("active");
  };
  const cellOf = (event) => event.target.closest("tbody td");

  for (const kind of ["pointerover", "focusin", "click"]) {
    body.addEventListener(kind, (event) => {
      const cell = cellOf(event);
      if (cell) describe(cell);
    });
  }

  const go = (cell) => {
    for (const other of body.querySelectorAll('td[tabindex="0"]')) other.tabIndex = -1;
    cell.tabIndex = 0;
    cell.focus();
  };
  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  body.addEventListener("keydown", (event) => {
    const cell = cellOf(event);
    if (!cell) return;
    const cells = [...cell.parentElement.querySelectorAll("td")];
    const rows = [...body.rows];
    let [row, column] = [rows.indexOf(cell.parentElement), cells.indexOf(cell)];
    if (event.key in steps) {
      row += steps[event.key][0];
      column += steps[event.key][1];
    } else if (event.key === "Home") {
      column = 0;
    } else if (event.key === "End") {
      column = cells.length - 1;
    } else {
      return;
    }
    event.preventDefault();
    const target = rows[row] && rows[row].querySelectorAll("td")[column];
    if (target) go(target);
  });

  const reorder = (genres) => {
    const position = new Map(genres.map((genre, index) => [genre, index]));
    const byGenre = (one, other) => position.get(one.dataset.genre) - position.get(other.dataset.genre);
    const lines = [matrix.tHead.rows[0], ...body.rows];
    for (const line of lines) line.append(...[...line.querySelectorAll("[data-genre]")].sort(byGenre));
    body.append(...[...body.rows].sort(byGenre));
  };
  const buttons = [...section.querySelectorAll(".orders button")];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      const key = button.dataset.order;
      const rows = [...body.rows].sort((one, other) => Number(one.dataset.genre) - Number(other.dataset.genre));
      if (key !== "name") rows.sort((one, other) => Number(other.dataset[key]) - Number(one.dataset[key]));
      reorder(rows.map((row) => row.dataset.genre));
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      statusLine.textContent = `genres ordered by ${button.textContent}`;
    });
  }
}

document.querySelectorAll(".matrix").forEach(setUpMatrix);

// A link to a model opens it; one sound plays at a time.
function openTarget() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
    target.scrollIntoView();
  }
}
addEventListener("hashchange", openTarget);
openTarget();

const sounds = [...document.querySelectorAll("audio")];
for (const sound of sounds) {
  sound.addEventListener("play", () => sounds.forEach((other) => other === sound || other.pause()));
}
