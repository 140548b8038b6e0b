use crate::failure::{Failure, shortened};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How a server is asked for the reward of a response. Every call asks for one.
///
/// | API | call | asks with | reads |
/// |---|---|---|---|
/// | `rewards` | `POST /rewards` | `{"conversations": [[{"role", "content"}, …]]}`, the response last | `rewards[0]` |
/// | `openrlhf` | `POST /get_reward` | `{"query": [text], "prompts": [text], "labels": [""]}` | `rewards[0]` |
/// | `vllm-classify` | `POST /classify` | `{"messages"}` or `{"input": text}` with no tokens added, the activation off | `data[0].probs[0]` |
/// | `vllm-pooling` | `POST /pooling` | the same | `data[0].data`, its last number |
/// | `vllm-score` | `POST /score` | `{"text_1": prompt, "text_2": response}`, the activation off | `data[0].score` |
/// | `sglang-classify` | `POST /classify` | `{"text": [text]}` | `[0].embedding[0]` |
/// | `sglang-embeddings` | `POST /v1/embeddings` | `{"input": text}` | `data[0].embedding[0]` |
///
/// Sources: OpenRLHF's `serve_rm.py`, vLLM's pooling server, SGLang's native API, and the client that
/// verl has for the two; `rewards` is this project's own, the least that a server can implement.
/// One response a call, because the numbers of many servers depend on what else is in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RewardApi {
    /// This project's own.
    Rewards,
    /// OpenRLHF's remote reward model.
    Openrlhf,
    /// vLLM, and SGLang's `/v1/classify`.
    VllmClassify,
    /// vLLM.
    VllmPooling,
    /// vLLM's cross-encoders.
    VllmScore,
    /// SGLang.
    SglangClassify,
    /// SGLang.
    SglangEmbeddings,
}

/// What a call is about.
#[derive(Debug, Clone)]
pub(crate) struct Asked<'a> {
    pub(crate) model: &'a str,
    /// Role and content of every turn, the response last.
    pub(crate) messages: Value,
    /// The conversation as text, where a template is known.
    pub(crate) text: Option<Text>,
    /// The prompt alone: as text where a template is known, else what its only turn says.
    pub(crate) prompt: Option<String>,
    pub(crate) response: &'a str,
}

/// A conversation as text.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    /// With the token that begins a text.
    pub(crate) whole: String,
    /// Without it, for servers that add it.
    pub(crate) bare: String,
}

impl RewardApi {
    /// Every one, in the order in which an unknown server is asked for them.
    pub const ALL: [Self; 7] = [
        Self::Rewards,
        Self::Openrlhf,
        Self::VllmClassify,
        Self::SglangClassify,
        Self::VllmPooling,
        Self::SglangEmbeddings,
        Self::VllmScore,
    ];

    /// Its name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rewards => "rewards",
            Self::Openrlhf => "openrlhf",
            Self::VllmClassify => "vllm-classify",
            Self::VllmPooling => "vllm-pooling",
            Self::VllmScore => "vllm-score",
            Self::SglangClassify => "sglang-classify",
            Self::SglangEmbeddings => "sglang-embeddings",
        }
    }

    /// Where it is asked, below the server's address.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Rewards => "rewards",
            Self::Openrlhf => "get_reward",
            Self::VllmClassify | Self::SglangClassify => "classify",
            Self::VllmPooling => "pooling",
            Self::VllmScore => "score",
            Self::SglangEmbeddings => "v1/embeddings",
        }
    }

    /// Whether a server may be found to speak it by asking. vLLM answers `/score` for models that embed,
    /// too, and then with a similarity.
    pub(crate) fn can_be_found(self) -> bool {
        self != Self::VllmScore
    }

    /// Whether it takes nothing but the conversation as text.
    pub(crate) fn needs_text(self) -> bool {
        matches!(self, Self::Openrlhf | Self::SglangClassify | Self::SglangEmbeddings)
    }

    /// The body of the call; nothing where a text is needed and there is none.
    pub(crate) fn body(self, asked: &Asked<'_>) -> Option<Value> {
        let mut body = match self {
            Self::Rewards => json!({ "conversations": [asked.messages] }),
            Self::Openrlhf => json!({
                "query": [asked.text.as_ref()?.whole],
                "prompts": [asked.prompt.as_ref()?],
                "labels": [""],
            }),
            Self::VllmClassify | Self::VllmPooling => match &asked.text {
                Some(text) => json!({ "input": text.whole, "add_special_tokens": false }),
                None => json!({ "messages": asked.messages }),
            },
            Self::VllmScore => json!({
                "text_1": asked.prompt.as_ref()?,
                "text_2": asked.response,
            }),
            Self::SglangClassify => json!({ "text": [asked.text.as_ref()?.bare] }),
            Self::SglangEmbeddings => json!({ "input": asked.text.as_ref()?.bare }),
        };
        if matches!(self, Self::VllmClassify | Self::VllmPooling | Self::VllmScore) {
            // The second name is that of servers before vLLM 0.11.
            body["use_activation"] = json!(false);
            body["activation"] = json!(false);
        }
        if !asked.model.is_empty() {
            body["model"] = json!(asked.model);
        }
        Some(body)
    }

    /// The reward in the body of a reply with status 200.
    ///
    /// # Errors
    /// [`Failure::Again`] for a body that is no JSON, [`Failure::Item`] for a reward that is not one finite
    /// number, [`Failure::Everything`] for a reply that no reward model gives.
    pub(crate) fn read(self, body: &str) -> Result<f64, Failure> {
        let reply: Value = serde_json::from_str(body).map_err(|error| {
            // What Python writes for numbers that JSON has not.
            match ["NaN", "Infinity"].into_iter().find(|word| body.contains(word)) {
                Some(word) => Failure::Item(format!("the reward is {word}, no finite number")),
                None => Failure::again(format!(
                    "the reply is no JSON ({error}): `{}`",
                    shortened(body).chars().take(60).collect::<String>().escape_debug()
                )),
            }
        })?;
        match self {
            Self::Rewards | Self::Openrlhf => number(self.row(&reply["rewards"])?),
            Self::VllmScore => number(&self.row(&reply["data"])?["score"]),
            Self::VllmClassify => only(&self.row(&reply["data"])?["probs"]),
            Self::VllmPooling => last(&self.row(&reply["data"])?["data"]),
            Self::SglangClassify => only(&self.row(&reply)?["embedding"]),
            Self::SglangEmbeddings => only(&self.row(&reply["data"])?["embedding"]),
        }
    }

    /// The only entry of what the reply lists.
    fn row(self, list: &Value) -> Result<&Value, Failure> {
        match list.as_array().map(Vec::as_slice) {
            Some([row]) => Ok(row),
            Some(rows) => Err(Failure::Item(format!(
                "the server gave {} rewards for one response",
                rows.len()
            ))),
            None => Err(Failure::Item(format!(
                "the reply holds no rewards as {} gives them",
                self.name()
            ))),
        }
    }
}

fn number(value: &Value) -> Result<f64, Failure> {
    match value.as_f64() {
        Some(reward) if reward.is_finite() => Ok(reward),
        _ => {
            let said = shortened(&value.to_string());
            Err(Failure::Item(format!("the reward is {said}, no finite number")))
        }
    }
}

/// The only number of a list.
fn only(list: &Value) -> Result<f64, Failure> {
    match list.as_array().map(Vec::as_slice) {
        Some([reward]) => number(reward),
        Some(numbers) => Err(Failure::Everything(format!(
            "the server gives {} numbers for a response, and a reward is one: it serves embeddings or several classes, no reward model",
            numbers.len()
        ))),
        None => number(list),
    }
}

/// The number at the end of a list of numbers, or of a list of lists of one: a token each.
fn last(list: &Value) -> Result<f64, Failure> {
    match list.as_array().map(Vec::as_slice) {
        Some([.., token]) if token.is_array() => only(token),
        _ => only(list),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: bool) -> Asked<'static> {
        Asked {
            model: "rm",
            messages: json!([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]),
            text: text.then(|| Text { whole: "<s>q a".to_owned(), bare: "q a".to_owned() }),
            prompt: Some("q".to_owned()),
            response: "a",
        }
    }

    #[test]
    fn each_api_is_asked_in_its_own_words() {
        let body = |api: RewardApi, text| api.body(&asked(text));
        let openrlhf = body(RewardApi::Openrlhf, true).unwrap();
        assert_eq!((&openrlhf["query"], &openrlhf["prompts"]), (&json!(["<s>q a"]), &json!(["q"])));
        assert_eq!(body(RewardApi::Openrlhf, false), None);
        let vllm = body(RewardApi::VllmClassify, true).unwrap();
        assert_eq!((&vllm["input"], &vllm["use_activation"]), (&json!("<s>q a"), &json!(false)));
        let messages = body(RewardApi::VllmPooling, false).unwrap();
        assert_eq!(messages["messages"][1]["content"], "a");
        assert_eq!(body(RewardApi::SglangClassify, true).unwrap()["text"], json!(["q a"]));
        let own = body(RewardApi::Rewards, false).unwrap();
        assert_eq!(
            (&own["conversations"][0][0]["role"], &own["model"]),
            (&json!("user"), &json!("rm"))
        );
    }

    #[test]
    fn a_reward_is_read_where_each_api_has_it() {
        for (api, reply) in [
            (RewardApi::Rewards, json!({"rewards": [-1.5]})),
            (RewardApi::Openrlhf, json!({"rewards": [-1.5], "scores": [0.0], "extra_logs": {}})),
            (
                RewardApi::VllmClassify,
                json!({"data": [{"index": 0, "probs": [-1.5], "num_classes": 1}]}),
            ),
            (RewardApi::VllmPooling, json!({"data": [{"data": [-1.5]}]})),
            (RewardApi::VllmPooling, json!({"data": [{"data": [[0.5], [3.0], [-1.5]]}]})),
            (RewardApi::VllmScore, json!({"data": [{"score": -1.5}]})),
            (RewardApi::SglangClassify, json!([{"embedding": [-1.5], "meta_info": {}}])),
            (RewardApi::SglangEmbeddings, json!({"data": [{"embedding": [-1.5]}]})),
        ] {
            assert_eq!(api.read(&reply.to_string()), Ok(-1.5), "{}", api.name());
        }
        // A reward of nought is a reward.
        assert_eq!(RewardApi::Openrlhf.read("{\"rewards\": [0.0]}"), Ok(0.0));
    }

    #[test]
    fn what_is_no_reward_is_never_made_one() {
        let read = |body: &str| RewardApi::Openrlhf.read(body);
        for (body, words) in [
            ("{\"rewards\": [NaN]}", "the reward is NaN"),
            ("{\"rewards\": [-Infinity]}", "the reward is Infinity"),
            ("{\"rewards\": [null]}", "the reward is null"),
            ("{\"rewards\": [\"1.0\"]}", "no finite number"),
            ("{\"rewards\": []}", "0 rewards for one"),
            ("{\"rewards\": [1.0, 2.0]}", "2 rewards for one"),
            ("{\"error\": \"busy\"}", "no rewards as openrlhf gives them"),
        ] {
            let Err(Failure::Item(said)) = read(body) else { panic!("{body}") };
            assert!(said.contains(words), "{said}");
        }
        assert!(matches!(read("{\"rewards\": [1."), Err(Failure::Again { .. })));
        let embedding = json!({"data": [{"embedding": [0.1, 0.2]}]}).to_string();
        let found = RewardApi::SglangEmbeddings.read(&embedding);
        assert!(matches!(&found, Err(Failure::Everything(said)) if said.contains("2 numbers")));
    }

    #[test]
    fn names_are_those_of_settings() {
        for api in RewardApi::ALL {
            assert_eq!(serde_json::to_value(api).unwrap(), json!(api.name()));
        }
    }
}
