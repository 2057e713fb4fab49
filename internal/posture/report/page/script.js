(() => {
  'use strict';
  const doc = document, root = doc.documentElement;
  root.classList.add('js');
  const $ = (id) => doc.getElementById(id);
  const findings = [...doc.querySelectorAll('.f')];
  const groups = [...doc.querySelectorAll('.group')];

  $('theme').addEventListener('click', () => {
    const dark = root.dataset.theme ? root.dataset.theme === 'dark'
      : matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.theme = dark ? 'light' : 'dark';
  });

  const openAll = (on) => { for (const f of findings) if (!f.hidden || !on) f.open = on; };
  openAll(false);

  const form = $('filters');
  let touched = false;
  const texts = new Map();
  const textOf = (f) => {
    let t = texts.get(f);
    if (t === undefined) {
      t = (f.textContent || '').toLowerCase().replace(/\s+/g, ' ');
      texts.set(f, t);
    }
    return t;
  };
  const chosen = (name) => new Set([...form.querySelectorAll(`input[name=${name}]:checked`)].map((i) => i.value));

  function apply() {
    if (!form) return;
    const words = $('q').value.toLowerCase().split(/\s+/).filter(Boolean);
    const group = $('group').value, status = chosen('status'), severity = chosen('severity');
    let shown = 0;
    for (const g of groups) {
      const inGroup = !group || g.dataset.group === group;
      let here = 0;
      for (const f of g.querySelectorAll('.f')) {
        const on = inGroup && status.has(f.dataset.status) && severity.has(f.dataset.severity) &&
          words.every((w) => textOf(f).includes(w));
        f.hidden = !on;
        if (on) here++;
      }
      g.hidden = here === 0;
      shown += here;
    }
    $('count').textContent = `${shown} of ${findings.length} findings`;
    $('none').hidden = shown > 0;
  }
  function showAll() {
    for (const i of form.querySelectorAll('input[type=checkbox]')) i.checked = true;
    $('q').value = '';
    $('group').value = '';
    apply();
  }

  if (form) {
    form.addEventListener('submit', (e) => e.preventDefault());
    form.addEventListener('input', () => { touched = true; apply(); });
    $('all').addEventListener('click', () => { touched = true; showAll(); });
    $('open').addEventListener('click', () => openAll(true));
    $('close').addEventListener('click', () => openAll(false));
    doc.addEventListener('keydown', (e) => {
      if (e.key === '/' && !/^(INPUT|SELECT|TEXTAREA)$/.test(doc.activeElement.tagName)) {
        e.preventDefault();
        $('q').focus();
      }
    });
    apply();
  }

  // A link to a subject or finding that the filters hide shows it.
  function follow() {
    const el = location.hash.length > 1 && doc.getElementById(location.hash.slice(1));
    if (!el) return;
    if (form && (el.hidden || (el.closest('.group') && el.closest('.group').hidden))) showAll();
    if (el.matches('.f')) el.open = true;
    el.scrollIntoView();
  }
  addEventListener('hashchange', follow);
  follow();

  // Paper has no buttons: everything is opened, and all findings are printed unless a filter was chosen.
  let before = null;
  addEventListener('beforeprint', () => {
    before = findings.map((f) => f.open);
    if (form && !touched) {
      for (const f of findings) f.hidden = false;
      for (const g of groups) g.hidden = false;
    }
    for (const f of findings) f.open = true;
  });
  addEventListener('afterprint', () => {
    if (before) findings.forEach((f, i) => { f.open = before[i]; });
    before = null;
    apply();
  });
})();
