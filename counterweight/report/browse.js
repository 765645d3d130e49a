"use strict";
(() => {
  const data = JSON.parse(document.getElementById("browse-data").textContent);
  const section = document.getElementById("browse").closest("section");
  const at = (name) => section.querySelector(`[data-part="${name}"]`);
  const [form, grid, found, more, dialog] = ["filters", "grid", "found", "more", "dialog"].map(at);
  const PAGE = 48;
  let shown = PAGE;
  let matches = [];
  let linked = []; // What a link asks for besides the fields of the form.

  const element = (tag, text, settings = {}) => Object.assign(document.createElement(tag), { textContent: text }, settings);
  const names = (labels) => labels.map((label) => data.labels[label]).join(", ") || "no label";
  // Of one label, or of all that are known.
  const isRight = (image, arm, only) => {
    const given = new Set(image.answers[arm].labels);
    const agrees = (label) => given.has(label) === image.labels.includes(label);
    if (only !== undefined) return agrees(only);
    return data.labels.every((_, label) => image.unknown.includes(label) || agrees(label));
  };
  const middleCut = (name) => (name.length > 28 ? `${name.slice(0, 13)}…${name.slice(-14)}` : name);

  const TESTS = {
    label: (image, value) => image.labels.includes(Number(value)),
    cluster: (image, value) => image.cluster === Number(value),
    split: (image, value) => image.split === value,
    lacks: (image, value) => !image.labels.includes(Number(value)) && !image.unknown.includes(Number(value)),
    predicted: (image, value) => {
      const [arm, label] = value.split(":").map(Number);
      return image.answers.length > 0 && image.answers[arm].labels.includes(label);
    },
    kind: (image, value) => (image.source === null) === (value === "originals"),
    doubt: (image) => image.doubts.length > 0,
    answer: (image, value) => {
      const [wanted, arm] = value.split(":");
      if (!image.answers.length) return false;
      const only = form.elements.label.value === "" ? undefined : Number(form.elements.label.value);
      const right = isRight(image, Number(arm), only);
      const others = image.answers.keys();
      if (wanted === "only") return right && [...others].every((i) => i === Number(arm) || !isRight(image, i, only));
      return right === (wanted === "right");
    },
  };

  const options = (name, entries) => {
    for (const [value, text] of entries) form.elements[name].append(element("option", text, { value }));
  };
  options("label", data.labels.map((label, i) => [i, label]));
  options("cluster", Object.entries(data.clusters));
  for (const [wanted, text] of [["right", "right by"], ["wrong", "wrong by"], ["only", "right only by"]]) {
    options("answer", data.arms.map((arm, i) => [`${wanted}:${i}`, `${text} ${arm}`]));
  }

  const tile = (index) => {
    const image = data.images[index];
    const button = element("button", "", { type: "button", className: "tile", title: image.name });
    const text = `${middleCut(image.name)}: ${names(image.labels)}`;
    button.append(element("img", "", { src: image.picture, alt: "" }), element("span", text));
    button.addEventListener("click", () => open(index));
    return button;
  };

  const render = () => {
    const wanted = [...new FormData(form), ...linked].filter(([, value]) => value !== "");
    matches = [...data.images.keys()].filter((i) => wanted.every(([name, value]) => TESTS[name](data.images[i], value)));
    grid.replaceChildren(...matches.slice(0, shown).map(tile));
    const conditions = linked.map(([name, value]) => {
      if (name === "lacks") return `, without ${data.labels[value]}`;
      const [arm, label] = value.split(":");
      return `, for which the arm ${data.arms[arm]} predicts ${data.labels[label]}`;
    });
    found.textContent = `${matches.length} of the ${data.images.length} images that this page holds${conditions.join("")}`;
    more.hidden = matches.length <= shown;
  };

  const group = (title, indices) => {
    const box = element("div", "", { className: "grid" });
    box.append(...indices.map(tile));
    return indices.length ? [element("h4", title), box] : [];
  };

  const open = (index) => {
    const image = data.images[index];
    const facts = element("dl", "");
    const fact = (name, value) => facts.append(element("dt", name), element("dd", value));
    fact("labels", names(image.labels));
    if (image.unknown.length) fact("unknown", names(image.unknown));
    const split = image.split === "val" ? "validation" : image.split;
    fact("split", image.source === null ? split : `${split}, a copy`);
    if (image.cluster !== null) fact("cluster", data.clusters[image.cluster]);
    if (image.doubts.length) fact("perhaps wrong", image.doubts.join(", "));
    image.answers.forEach((answer, arm) => {
      const scores = answer.scores.map(([label, score]) => `${data.labels[label]} ${score.toFixed(2)}`).join(", ");
      fact(`${data.arms[arm]}, ${isRight(image, arm) ? "right" : "wrong"}`, `${names(answer.labels)} (scores: ${scores})`);
    });
    const source = image.source ?? index;
    const family = [...data.images.keys()].filter((i) => i !== index && (i === source || data.images[i].source === source));
    at("name").textContent = image.name;
    at("large").replaceChildren(element("img", "", { src: image.picture, alt: `${image.name}: ${names(image.labels)}` }), facts);
    at("related").replaceChildren(...group("Source and copies", family), ...group("Nearest by features, of the train images here", image.near));
    const place = matches.indexOf(index);
    for (const [part, step] of [["previous", -1], ["next", 1]]) {
      const other = place < 0 ? undefined : matches[place + step];
      at(part).setAttribute("aria-disabled", other === undefined);
      at(part).onclick = other === undefined ? null : () => open(other);
    }
    if (!dialog.open) dialog.showModal();
    else if (!dialog.contains(document.activeElement)) at("name").focus();
    dialog.scrollTop = 0;
  };

  const follow = () => {
    if (!location.hash.startsWith("#browse:")) {
      dialog.close();
      return;
    }
    const query = [...new URLSearchParams(location.hash.slice(8))];
    const image = query.find(([name]) => name === "image");
    if (image) { // A dot of a chart: the reader stays there.
      if (data.images[image[1]]) open(Number(image[1]));
      return;
    }
    form.reset();
    linked = query.filter(([name]) => name === "lacks" || name === "predicted");
    for (const [name, value] of query) {
      const field = form.elements[name];
      if (field && field.type === "checkbox") field.checked = true;
      else if (field) field.value = value;
    }
    shown = PAGE;
    render();
    section.scrollIntoView();
    form.elements.label.focus({ preventScroll: true });
  };

  form.addEventListener("input", () => {
    shown = PAGE;
    render();
  });
  form.addEventListener("reset", () => {
    shown = PAGE;
    linked = [];
    setTimeout(render);
  });
  more.addEventListener("click", () => {
    shown += PAGE;
    render();
    grid.children[shown - PAGE].focus();
  });
  at("close").addEventListener("click", () => dialog.close());
  addEventListener("hashchange", follow);
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    const target = link && (link.getAttribute("href") ?? link.getAttribute("xlink:href"));
    if (target === location.hash) follow(); // Nothing changes in the address, so there is no event of its own.
  });
  for (const cell of document.querySelectorAll("td[data-browse]")) {
    const [row, column] = [cell.parentElement.cells[0], cell.closest("table").tHead.rows[0].cells[cell.cellIndex]];
    const link = element("a", cell.textContent, { href: `#browse:${cell.dataset.browse}` });
    link.setAttribute("aria-label", `${cell.textContent} images, ${row.textContent} ${column.textContent}`);
    cell.replaceChildren(link);
  }
  section.hidden = false;
  document.documentElement.classList.add("scripted");
  for (const link of document.querySelectorAll(".browse-link")) link.hidden = false;
  render();
  follow();
})();
