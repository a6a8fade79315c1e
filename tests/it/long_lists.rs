//! Lists that are long are written while they are read: what they say is what a page after the other says.

use std::io::Read;

use atoll::codec::protobuf::{TypeMeta, decode};
use axum::body::Body;
use bytes::Bytes;
use flate2::read::GzDecoder;
use futures::{StreamExt, TryStreamExt};
use http::{Method, header};
use serde_json::{Value, json};

use crate::requests::CONFIG_MAPS;
use crate::server::{Atoll, Client};

const PLAIN: &str = "application/json";
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
const TABLE: &str = "application/json;as=Table;g=meta.k8s.io;v=v1";
/// A piece is no longer than this, and an item.
const PIECE: usize = 128 * 1024 + 8 * 1024;

fn large(name: &str, mark: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"mark": mark, "much": "x".repeat(4096)},
        "metadata": {"name": name, "annotations": {"more": "y".repeat(2048)}},
    })
}

/// Two clusters: one with many objects, one with one.
async fn clusters() -> (Atoll, Client, Client) {
    let atoll = Atoll::start().await;
    let (many, few) = (atoll.cluster("many").await, atoll.cluster("few").await);
    for number in 0..150 {
        many.post(CONFIG_MAPS, large(&format!("one-{number:03}"), "many")).await.expect(201);
    }
    few.post(CONFIG_MAPS, large("one", "few")).await.expect(201);
    (atoll, many, few)
}

/// The pieces of a list, and whether it is compressed.
async fn pieces(client: &Client, path: &str, headers: &[(header::HeaderName, &str)]) -> (Vec<Bytes>, bool) {
    let request = headers
        .iter()
        .fold(client.request(Method::GET, path, ""), |request, (name, value)| request.header(name, *value));
    let response = client.call(request.body(Body::empty()).expect("a request")).await;
    assert_eq!(response.status().as_u16(), 200);
    let packed = response.headers().get(header::CONTENT_ENCODING).is_some_and(|coding| coding == "gzip");
    let pieces = response.into_body().into_data_stream().try_collect().await.expect("the answer is whole");
    (pieces, packed)
}

/// The items or rows of all pages.
async fn page_by_page(client: &Client, accept: &str, field: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut token = String::new();
    loop {
        let page = client.get_as(&format!("{CONFIG_MAPS}?limit=20&continue={token}"), accept).await.expect(200);
        all.extend(page[field].as_array().cloned().unwrap_or_default());
        token = page["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
        if token.is_empty() {
            return all;
        }
    }
}

/// Rows without the cell that tells how old an object is: time goes by.
fn ageless(mut items: Vec<Value>) -> Vec<Value> {
    let cells = items.iter_mut().filter_map(|item| item.get_mut("cells")?.as_array_mut());
    cells.for_each(|cells| drop(cells.pop()));
    items
}

#[tokio::test]
async fn a_long_list_comes_in_pieces_and_says_what_its_pages_say() {
    let (_atoll, many, few) = clusters().await;
    for (accept, field) in [(PLAIN, "items"), (METADATA, "items"), (TABLE, "rows")] {
        let (pieces, _) = pieces(&many, CONFIG_MAPS, &[(header::ACCEPT, accept)]).await;
        assert!(pieces.len() > 2, "{accept}: {} pieces", pieces.len());
        assert!(pieces.iter().all(|piece| piece.len() < PIECE), "{accept}");
        let list: Value = serde_json::from_slice(&pieces.concat()).expect("JSON");
        let paged = page_by_page(&many, accept, field).await;
        let listed = list[field].as_array().cloned().unwrap_or_default();
        assert_eq!(ageless(listed), ageless(paged), "{accept}");
        assert!(!list.to_string().contains("\"few\""), "{accept}");
        let other = few.get_as(CONFIG_MAPS, accept).await.expect(200);
        assert!(!other.to_string().contains("one-0"), "{accept}");
    }
}

#[tokio::test]
async fn a_long_list_is_compressed_piece_by_piece() {
    let (_atoll, many, _few) = clusters().await;
    let (plain, _) = pieces(&many, CONFIG_MAPS, &[]).await;
    let (packed, is_packed) = pieces(&many, CONFIG_MAPS, &[(header::ACCEPT_ENCODING, "deflate, gzip")]).await;
    assert!(is_packed);
    let packed = packed.concat();
    let mut unpacked = Vec::new();
    GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).expect("gzip");
    assert!(packed.len() < plain.concat().len() / 10);
    assert_eq!(unpacked, plain.concat());
}

#[tokio::test]
async fn a_list_that_is_read_slowly_is_the_list_as_it_was_asked_for() {
    let (_atoll, many, _few) = clusters().await;
    let request = many.request(Method::GET, CONFIG_MAPS, "").body(Body::empty()).expect("a request");
    let mut body = many.call(request).await.into_body().into_data_stream();
    let first = body.next().await.expect("a piece").expect("a piece");
    // What is written later is still the list as it was when it was asked for.
    many.delete(&format!("{CONFIG_MAPS}/one-149")).await.expect(200);
    let mut rest = first.to_vec();
    while let Some(piece) = body.next().await {
        rest.extend_from_slice(&piece.expect("a piece"));
    }
    let list: Value = serde_json::from_slice(&rest).expect("JSON");
    let last = list["items"].as_array().and_then(|items| items.last()).expect("items");
    assert_eq!(last["metadata"]["name"], "one-149");
}

#[tokio::test]
async fn what_must_be_whole_is_written_at_once() {
    let (_atoll, many, _few) = clusters().await;
    let names = |list: &str| list.matches("name: one-").count();
    let (yaml, _) = pieces(&many, CONFIG_MAPS, &[(header::ACCEPT, "application/yaml")]).await;
    assert_eq!((yaml.len(), names(&String::from_utf8_lossy(&yaml[0]))), (1, 150));
    let (pretty, _) = pieces(&many, &format!("{CONFIG_MAPS}?pretty=true"), &[]).await;
    assert_eq!(pretty.len(), 1);
    let list: Value = serde_json::from_slice(&pretty[0]).expect("JSON");
    assert_eq!(list["items"].as_array().map(Vec::len), Some(151), "with the cluster's own");
}

#[tokio::test]
async fn a_list_in_protobuf_says_what_it_says_in_json() {
    let (_atoll, many, _few) = clusters().await;
    for (protobuf, json) in [
        ("application/vnd.kubernetes.protobuf", PLAIN),
        ("application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", METADATA),
    ] {
        let (message, _) = pieces(&many, CONFIG_MAPS, &[(header::ACCEPT, protobuf)]).await;
        let mut read = decode(&message.concat(), &TypeMeta::default()).expect("protobuf");
        let mut expected = many.get_as(CONFIG_MAPS, json).await.expect(200);
        // Only JSON names the type of each item.
        for item in expected["items"].as_array_mut().expect("items") {
            item.as_object_mut().expect("an item").retain(|field, _| field != "apiVersion" && field != "kind");
        }
        // What is empty in one may be absent in the other.
        read["metadata"].as_object_mut().expect("metadata").retain(|_, value| value != "");
        assert_eq!(Value::Object(read), expected, "{protobuf}");
    }
}
