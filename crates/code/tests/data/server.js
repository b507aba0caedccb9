'use strict';
const express = require('express');
const axios = require('axios');
const { charge } = require('./bank');

const app = express();
const router = express.Router();

function guard(req, res, next) {
  return req.headers.authorization ? next() : res.status(401).end();
}

const listOrders = async (req, res) => {
  const { data } = await axios.get('/upstream/orders', options());
  res.json(data);
};

function options({ timeout = 100 } = {}, retries = 3) {
  return { timeout, retries };
}

router.get('/orders', guard, listOrders);
router.post('/orders/:id/pay', async (req, res) => {
  await charge(req.params.id);
  res.end();
});
app.route('/health').get(healthy).head(healthy);

class Cart {
  #items = [];
  add(item) {
    this.#items.push(item);
  }
  _recount() {}
}

function healthy(req, res) {
  res.end('ok');
}

module.exports = { app, listOrders, Cart };
exports.version = function () {
  return '1';
};
