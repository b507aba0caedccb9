// The configuration: default.yaml, and on top of it the file of the environment.
import { existsSync, readFileSync } from 'node:fs';

import { parse } from './yaml.js';

const FOLDER = new URL('../config/', import.meta.url);

/** @param {string} environment such as "production" */
export function loadConfig(environment = process.env.NODE_ENV ?? 'development') {
  const config = read('default.yaml');
  const special = `${environment}.yaml`;
  if (existsSync(new URL(special, FOLDER))) merge(config, read(special));
  for (const [name, value] of [['catalog.timeout', config.catalog.timeout], ['cache.ttl', config.cache.ttl]]) {
    if (!(value > 0)) throw new Error(`config: ${name} must be positive, not ${value}`);
  }
  return config;
}

const read = (file) => parse(readFileSync(new URL(file, FOLDER), 'utf8'), file);

function merge(into, from) {
  for (const [key, value] of Object.entries(from)) {
    if (value && typeof value === 'object') merge((into[key] ??= {}), value);
    else into[key] = value;
  }
}
