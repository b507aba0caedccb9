//! Names operations by route: `GET /users/17` becomes `GET /users/{id}`.
//!
//! Localization compares operations over time, so each must have one name that many requests share. A span's operation
//! is, in this order:
//! 1. `{method} {http.route}`, where a SERVER or CLIENT span carries `http.route`;
//! 2. the first of the `templates` that fits its path (from its attributes, else from its name);
//! 3. its name, if the path in it is a template already (`/users/{id}`, `/users/:id`, `/files/*`);
//! 4. the raw path in its name (`/users/17`, `GET https://shop/users/17`), or for a span that is named by its method
//!    alone the path of its attributes (`url.path`, `http.target`, `url.full`, `http.url`), with every segment that looks
//!    like an id replaced: `{id}` (integers, hexadecimal from 8 digits, ULIDs and other long mixes of letters and digits),
//!    `{uuid}`, `{date}`, `{email}`;
//! 5. its name as it is: names of rpc methods, of handlers and of anything else that is no URL.
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
mod names;
mod normalizer;
mod path;
mod routes;
#[cfg(test)]
mod tests;

pub use config::{Config, Template};
