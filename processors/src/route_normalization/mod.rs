//! Names operations by route: `GET /users/17` becomes `GET /users/{id}`.
//!
//! Localization compares operations over time, so each must have one name that many requests share. A span's operation
//! is, in this order:
//! 1. `{method} {http.route}`, where a span carries `http.route` and is SERVER, CLIENT or of no stated kind;
//! 2. the first of the `templates` that fits its path (from its attributes, else from its name);
//! 3. its name, if the path in it is a template already (`/users/{id}`, `/users/:id`, `/files/*`);
//! 4. the raw path in its name (`/users/17`, `GET https://shop/users/17`, `shop:8080/users/17`): without host, query and
//!    fragment, and with every segment that looks like an id replaced: `{id}` (numbers, hexadecimal from 8 digits, codes
//!    such as `B4711` and `KQ7ZPLM4XA`, ULIDs, base64 and other mixes of letters and digits), `{uuid}`, `{date}`, `{email}`;
//! 5. for a span of any kind that is named by its method alone (`GET`, `HTTP POST`) or, as proxies do, by a host
//!    (`stock.default.svc.cluster.local:9080/*`), the path of its attributes (`url.path`, `http.target`, `url.full`,
//!    `http.url`), treated alike; a call by gRPC is `package.Service/Method` (from the path, else `rpc.service` and
//!    `rpc.method`);
//! 6. for a span that is named by a word which all spans of a database share (`Query`, `SELECT`, `redis.command`):
//!    `db.query.summary`, else `db.operation.name` and `db.collection.name`, else verb and first table of `db.query.text`
//!    (`SELECT orders`), or the older names of these attributes; never a value;
//! 7. its name as it is: names of rpc methods, of handlers and of anything else that is no URL.
//!
//! What a span is called depends on nothing but the span, so neither the order of spans nor the number of copies changes an
//! operation. That is why words are never replaced, however many stand at the same place of a path (`/cities/paris`): write
//! a template for these.
//!
//! Each service may have `max_routes` routes; what comes later is "(other)" and noted as `route_overflow`.
//!
//! ```yaml
//! processors:
//!   route_normalization:
//!     max_routes: 1000
//!     templates:
//!       - /users/{id}/orders/{order}
//!       - { path: "/shop/{category}", service: storefront }
//! ```

mod config;
mod database;
mod names;
mod normalizer;
mod path;
mod routes;
mod sql;
#[cfg(test)]
mod tests;

pub use config::{Config, Template};
