//! Recordings of calls: `GET /v1/files/{id}`, with a token of the application whose call it was.
//!
//! Source: Vonage Voice API, "Recording": Vonage keeps a file for 30 days.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::ncco::Format;
use super::request::ApiRequest;
use super::rest::ApiError;
use super::{Shared, token};

/// Time after which a file is deleted.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Length of the audio in a file, in seconds. The rest of a longer call is left out.
const MOST_AUDIO: f64 = 2.0;

/// Samples of a second in a WAV file.
const WAV_RATE: u32 = 8_000;
/// A silent MP3 frame of MPEG 2, layer III, mono, with 8 kbit/s and 16 kHz. It lasts 36 ms.
const MP3_HEADER: [u8; 4] = [0xff, 0xf3, 0x18, 0xc0];
const MP3_FRAME_BYTES: usize = 36;
const MP3_FRAME_SECONDS: f64 = 0.036;

#[derive(Debug)]
struct Recording {
    format: Format,
    audio: Vec<u8>,
    stored_at: Timestamp,
}

/// The recordings that Vonage keeps, by the ID in their URL.
#[derive(Debug, Default)]
pub(super) struct Recordings(BTreeMap<String, Recording>);

impl Recordings {
    /// Stores a file, and returns its ID and its size in bytes.
    pub(super) fn add(&mut self, format: Format, seconds: f64, stored_at: Timestamp) -> (String, usize) {
        let audio = match format {
            Format::Wav => wav(seconds.min(MOST_AUDIO)),
            Format::Mp3 => mp3(seconds.min(MOST_AUDIO)),
        };
        let (id, size) = (Uuid::new_v4().to_string(), audio.len());
        self.0.insert(id.clone(), Recording { format, audio, stored_at });
        (id, size)
    }

    fn get(&mut self, id: &str, now: Timestamp) -> Option<&Recording> {
        self.0.retain(|_, recording| now.duration_since(recording.stored_at) < KEPT);
        self.0.get(id)
    }
}

/// Returns silence with a header (RIFF, PCM, 16 bits, mono).
fn wav(seconds: f64) -> Vec<u8> {
    let data = ((seconds * f64::from(WAV_RATE)) as u32).max(1) * 2;
    let mut file = Vec::from(*b"RIFF");
    file.extend((36 + data).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    file.extend(1_u16.to_le_bytes());
    file.extend(1_u16.to_le_bytes());
    file.extend(WAV_RATE.to_le_bytes());
    file.extend((WAV_RATE * 2).to_le_bytes());
    file.extend(2_u16.to_le_bytes());
    file.extend(16_u16.to_le_bytes());
    file.extend(b"data");
    file.extend(data.to_le_bytes());
    file.resize(file.len() + data as usize, 0);
    file
}

fn mp3(seconds: f64) -> Vec<u8> {
    let frames = ((seconds / MP3_FRAME_SECONDS) as usize).max(1);
    let mut frame = MP3_HEADER.to_vec();
    frame.resize(MP3_FRAME_BYTES, 0);
    frame.repeat(frames)
}

/// Handles `GET /v1/files/{id}`.
pub(super) async fn read(
    State(simulator): Shared,
    Path(id): Path<String>,
    Extension(request): Extension<Arc<ApiRequest>>,
) -> Response {
    if token::application_of(&simulator, &request).is_none() {
        return ApiError::Unauthorized.into_response();
    }
    let now = simulator.clock.now();
    match simulator.recordings().get(&id, now) {
        Some(Recording { format, audio, .. }) => {
            let content_type = match format {
                Format::Mp3 => "audio/mpeg",
                Format::Wav => "audio/wav",
            };
            ([(header::CONTENT_TYPE, content_type)], audio.clone()).into_response()
        }
        None => ApiError::NotFound.into_response(),
    }
}
