//! Finding the bearer token of a request.

use http::HeaderMap;
use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};

/// What the `Authorization` header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authorization {
    /// There is none.
    Absent,
    /// A bearer token. May be anybody's.
    Bearer(String),
    /// Another scheme, or nothing legible.
    Other,
}

/// Reads the `Authorization` header.
pub fn authorization(headers: &HeaderMap) -> Authorization {
    let Some(value) = headers.get(AUTHORIZATION) else { return Authorization::Absent };
    match value.to_str().ok().and_then(|text| text.trim().split_once(' ')) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() => {
            Authorization::Bearer(token.trim().to_owned())
        }
        _ => Authorization::Other,
    }
}

/// The token that a WebSocket's opening request carries: in the header, in the protocol list (which browsers can set), or in the query.
/// With it the protocol to agree on, when the client offered any: one of the offered ones, or browsers hang up.
pub fn of_websocket(headers: &HeaderMap, query_token: Option<String>) -> (Option<String>, Option<String>) {
    let offered: Vec<String> = headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(|protocol| protocol.trim().to_owned())
        .filter(|protocol| !protocol.is_empty())
        .collect();
    // Of a JWT's or an API key's form, or what follows the word "bearer".
    let in_list = offered
        .iter()
        .position(|protocol| protocol.eq_ignore_ascii_case("bearer"))
        .and_then(|at| offered.get(at + 1))
        .or_else(|| offered.iter().find(|protocol| protocol.matches('.').count() == 2 || protocol.starts_with("pk-")))
        .cloned();
    let agreed = offered.iter().find(|protocol| Some(*protocol) != in_list.as_ref()).or(offered.first()).cloned();
    let token = match authorization(headers) {
        Authorization::Bearer(token) => Some(token),
        _ => in_list.or(query_token),
    };
    (token, agreed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn with(name: http::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn only_a_bearer_token_is_one() {
        assert_eq!(authorization(&HeaderMap::new()), Authorization::Absent);
        assert_eq!(authorization(&with(AUTHORIZATION, "bearer  abc ")), Authorization::Bearer("abc".into()));
        for other in ["Basic abc", "Bearer", "Bearer ", "abc"] {
            assert_eq!(authorization(&with(AUTHORIZATION, other)), Authorization::Other, "{other}");
        }
    }

    #[test]
    fn a_websocket_may_carry_its_token_in_three_places() {
        let jwt = "aaa.bbb.ccc".to_owned();
        assert_eq!(of_websocket(&with(AUTHORIZATION, "Bearer aaa.bbb.ccc"), None), (Some(jwt.clone()), None));
        assert_eq!(of_websocket(&HeaderMap::new(), Some(jwt.clone())), (Some(jwt.clone()), None));
        let listed = with(SEC_WEBSOCKET_PROTOCOL, "bearer, aaa.bbb.ccc");
        assert_eq!(of_websocket(&listed, None), (Some(jwt.clone()), Some("bearer".into())));
        let alone = with(SEC_WEBSOCKET_PROTOCOL, "aaa.bbb.ccc");
        assert_eq!(of_websocket(&alone, None), (Some(jwt.clone()), Some(jwt)));
    }
}
