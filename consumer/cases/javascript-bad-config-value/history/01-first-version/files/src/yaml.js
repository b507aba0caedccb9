// Reads the part of YAML that our configuration uses: maps by indentation, plain and quoted scalars, comments.

/** @returns {object} */
export function parse(text, file = 'yaml') {
  const root = {};
  const stack = [{ indent: -1, map: root }];
  text.split('\n').forEach((raw, index) => {
    const line = raw.replace(/(^|\s)#.*$/, '').trimEnd();
    if (!line.trim()) return;
    const match = /^( *)([\w-]+):(?: +(.+))?$/.exec(line);
    if (!match) throw new Error(`${file}:${index + 1}: expected "key: value"`);
    const [, { length: indent }, key, value] = match;
    while (stack.at(-1).indent >= indent) stack.pop();
    const { map } = stack.at(-1);
    if (value === undefined) {
      map[key] = {};
      stack.push({ indent, map: map[key] });
    } else {
      map[key] = scalar(value);
    }
  });
  return root;
}

function scalar(text) {
  if (/^(['"]).*\1$/.test(text)) return text.slice(1, -1);
  if (/^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  return { true: true, false: false, null: null }[text] ?? text;
}
