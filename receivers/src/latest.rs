//! The greatest time of metrics: only the times are decoded, by messages that leave out all other fields.

use backtrail_model::time::UnixNano;
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<Resource>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<Scope>,
}

#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(message, repeated, tag = "2")]
    metrics: Vec<Metric>,
}

/// The numbers are those of gauge, sum, histogram, exponential histogram and summary.
#[derive(Clone, PartialEq, Message)]
struct Metric {
    #[prost(oneof = "Points", tags = "5, 7, 9, 10, 11")]
    points: Option<Points>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Points {
    #[prost(message, tag = "5")]
    Gauge(List),
    #[prost(message, tag = "7")]
    Sum(List),
    #[prost(message, tag = "9")]
    Histogram(List),
    #[prost(message, tag = "10")]
    Exponential(List),
    #[prost(message, tag = "11")]
    Summary(List),
}

#[derive(Clone, PartialEq, Message)]
struct List {
    #[prost(message, repeated, tag = "1")]
    points: Vec<Point>,
}

/// `time_unix_nano` is field 3 of every kind of point.
#[derive(Clone, Copy, PartialEq, Message)]
struct Point {
    #[prost(fixed64, tag = "3")]
    time: u64,
}

/// The greatest time of a data point, 0 if there is none.
pub(crate) fn of_metrics(request: &[u8]) -> UnixNano {
    // What comes here was checked before; should it still not decode, it has no say about the clock.
    let request = Request::decode(request).unwrap_or_default();
    let metrics = request.resources.iter().flat_map(|resource| &resource.scopes).flat_map(|scope| &scope.metrics);
    let points = metrics.filter_map(|metric| metric.points.as_ref()).flat_map(|points| match points {
        Points::Gauge(list)
        | Points::Sum(list)
        | Points::Histogram(list)
        | Points::Exponential(list)
        | Points::Summary(list) => &list.points,
    });
    UnixNano(points.map(|point| point.time).max().unwrap_or_default())
}
