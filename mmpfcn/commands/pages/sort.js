// A click on a column's head sorts its table. Without it the page lacks nothing but the sorting.
for (const table of document.querySelectorAll('table.sortable')) {
  table.querySelectorAll('thead th').forEach((head, column) => {
    const text = row => row.cells[column].textContent.trim();
    const rows = [...table.tBodies[0].rows];
    if (rows.some(row => row.cells[column].querySelector('svg'))) return;
    const button = document.createElement('button');
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener('click', () => {
      const down = head.getAttribute('aria-sort') === 'ascending';
      table.querySelectorAll('thead th').forEach(other => other.removeAttribute('aria-sort'));
      head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const compare = (a, b) => {
        const [x, y] = [parseFloat(text(a)), parseFloat(text(b))];
        if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y) ||
          text(a).localeCompare(text(b)) * (down ? -1 : 1);
        return (x - y) * (down ? -1 : 1);
      };
      table.tBodies[0].append(...rows.sort(compare));
    });
  });
}
