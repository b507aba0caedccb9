// Evaluates flags from a flagd file: state, variants, default and the part of targeting that we use.
import { readFileSync } from 'node:fs';

export const FLAGS_FILE = new URL('../flags/recommendations.flagd.json', import.meta.url);

/** Evaluates JsonLogic as far as our flags need it; anything else is a mistake in the file. */
function evaluate(rule, context) {
  if (rule === null || typeof rule !== 'object') return rule;
  if (Array.isArray(rule)) return rule.map((part) => evaluate(part, context));
  const [operator] = Object.keys(rule);
  const args = [rule[operator]].flat(1);
  switch (operator) {
    case 'var':
      return context[args[0]] ?? null;
    case 'in':
      return evaluate(args[1], context).includes(evaluate(args[0], context));
    case '==':
      return evaluate(args[0], context) === evaluate(args[1], context);
    case 'if': {
      for (let i = 0; i + 1 < args.length; i += 2) {
        if (evaluate(args[i], context)) return evaluate(args[i + 1], context);
      }
      return args.length % 2 ? evaluate(args.at(-1), context) : null;
    }
    default:
      throw new Error(`flags: operator ${operator} is not supported`);
  }
}

export class Flags {
  #flags;

  /** @param {{flags: object}} document a parsed flagd file */
  constructor(document) {
    this.#flags = document.flags;
  }

  static load(file = FLAGS_FILE) {
    return new Flags(JSON.parse(readFileSync(file, 'utf8')));
  }

  /** The flag's value; `fallback` when it is disabled or not there, as flagd's providers do it. */
  value(name, fallback, context = {}) {
    const flag = this.#flags[name];
    if (!flag || flag.state !== 'ENABLED') return fallback;
    const variant = (flag.targeting && evaluate(flag.targeting, context)) ?? flag.defaultVariant;
    return flag.variants[variant] ?? fallback;
  }
}
