'use strict'
const { readFileSync } = require('node:fs')

/** Reads a .env file; what the process has wins. */
function load (path, process_ = process.env) {
  const all = {}
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    const found = /^([A-Z_]+)=(.*)$/.exec(line.trim())
    if (found) all[found[1]] = process_[found[1]] ?? found[2]
  }
  return all
}

module.exports = { load }
