/* Stands in for the scripts that GX's pages load from public networks: as much of jQuery, Bootstrap and bootstrap-table as they call. */
(function () {
  "use strict";
  function Found(nodes) { this.nodes = Array.prototype.slice.call(nodes); }
  function $(what) {
    if (typeof what === "function") { ready(what); return new Found([]); }
    if (what instanceof Found) { return what; }
    return new Found(typeof what === "string" ? document.querySelectorAll(what) : [what]);
  }
  function ready(act) {
    if (document.readyState === "loading") { document.addEventListener("DOMContentLoaded", act); } else { act(); }
  }
  function each(act) {
    return function (argument) {
      this.nodes.forEach(function (node) { act(node, argument); });
      return this;
    };
  }
  Found.prototype = {
    ready: function (act) { ready(act); return this; },
    on: function () { return this; },
    modal: function () { return this; },
    popover: function () { return this; },
    tooltip: function () { return this; },
    parent: function () { return new Found(this.nodes.map(function (n) { return n.parentElement; }).filter(Boolean)); },
    each: function (act) { this.nodes.forEach(function (n, i) { act.call(n, i, n); }); return this; },
    addClass: each(function (n, name) { n.classList.add(name); }),
    removeClass: each(function (n, name) { n.classList.remove(name); }),
    fadeIn: each(function (n) { n.classList.remove("offline-hidden"); }),
    fadeOut: each(function (n) { n.classList.add("offline-hidden"); }),
    data: function (name) { return this.nodes[0] && this.nodes[0].getAttribute("data-" + name); },
    bootstrapTable: function (options) {
      if (typeof options === "object") { this.nodes.forEach(function (n) { fill(n, options); }); }
      return this;
    }
  };
  function fill(table, options) {
    var columns = options.columns || [], rows = (options.data || []).slice();
    var by = options.sortName, sorted = columns.filter(function (c) { return c.field === by; })[0];
    by = (sorted && sorted.sortName) || by;
    if (by) {
      rows.sort(function (a, b) { return a[by] < b[by] ? -1 : a[by] > b[by] ? 1 : 0; });
      if (options.sortOrder === "desc") { rows.reverse(); }
    }
    var head = document.createElement("thead"), body = document.createElement("tbody"), top = head.insertRow();
    columns.forEach(function (c) {
      var cell = document.createElement("th");
      cell.textContent = c.title;
      top.appendChild(cell);
    });
    rows.forEach(function (row) {
      var line = body.insertRow();
      columns.forEach(function (c) { line.insertCell().innerHTML = row[c.field] === undefined ? "" : row[c.field]; });
      if (row._table_row_link_path) { link(line, row._table_row_link_path); }
    });
    table.replaceChildren(head, body);
  }
  function link(line, path) {
    line.className = "clickable-row";
    line.tabIndex = 0;
    line.setAttribute("role", "link");
    function go() { window.location = path; }
    line.addEventListener("click", go);
    line.addEventListener("keydown", function (e) { if (e.key === "Enter") { go(); } });
  }
  document.addEventListener("click", function (e) {
    var one = e.target.closest("[data-toggle]");
    if (!one) { return; }
    if (one.dataset.toggle === "buttons") {
      var chosen = e.target.closest(".btn");
      one.querySelectorAll(".btn").forEach(function (b) { b.classList.toggle("active", b === chosen); });
      return;
    }
    var target = document.querySelector(one.dataset.target || one.getAttribute("href"));
    if (!target) { return; }
    if (one.dataset.toggle === "collapse") { target.classList.toggle("show"); e.preventDefault(); }
    if (one.dataset.toggle === "tab") {
      one.closest(".nav").querySelectorAll(".nav-link").forEach(function (n) { n.classList.toggle("active", n === one); });
      Array.prototype.forEach.call(target.parentElement.children, function (n) { n.classList.toggle("active", n === target); });
      e.preventDefault();
    }
  });
  window.$ = window.jQuery = $;
})();
