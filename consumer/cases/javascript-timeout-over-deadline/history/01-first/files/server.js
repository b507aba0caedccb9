'use strict'
const env = require('./lib/env').load(`${__dirname}/.env`)
require('./lib/app').build(env).listen(env.PORT)
