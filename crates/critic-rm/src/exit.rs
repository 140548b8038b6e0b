//! Exit codes: 0 done, 1 a bug, 2 command line or settings, 3 input data, 4 store or checkpoint, 5 model
//! or tokenizer, 6 remote engine, 7 below a bar that was asked for, 8 interrupted and resumable.

use anyhow::Error;
use std::fmt;
use std::process::ExitCode;

/// An error that knows its exit code.
#[derive(Debug)]
pub(crate) struct Fault {
    code: u8,
    message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl Fault {
    fn wrap(code: u8, error: &Error) -> Error {
        Error::new(Self { code, message: format!("{error:#}") })
    }

    /// The command line or the settings are wrong.
    pub(crate) fn config(error: Error) -> Error {
        Self::wrap(2, &error)
    }

    /// The input data cannot be used.
    pub(crate) fn data(error: Error) -> Error {
        Self::wrap(3, &error)
    }

    /// The run folder cannot be used.
    pub(crate) fn store(error: Error) -> Error {
        Self::wrap(4, &error)
    }

    /// The model cannot be used.
    pub(crate) fn model(error: Error) -> Error {
        Self::wrap(5, &error)
    }

    /// The servers of a remote model cannot be asked, or do not answer.
    pub(crate) fn remote(error: Error) -> Error {
        Self::wrap(6, &error)
    }

    /// The work was interrupted, and there is nothing to go on with.
    pub(crate) fn stopped() -> Error {
        let message = "interrupted; what was written so far stands above".to_owned();
        Error::new(Self { code: 8, message })
    }

    /// The work was interrupted; `command` goes on with it.
    pub(crate) fn interrupted(command: &str) -> Error {
        let message =
            format!("interrupted; everything computed so far is stored. Go on with: {command}");
        Error::new(Self { code: 8, message })
    }
}

/// The exit code of an error.
pub(crate) fn code(error: &Error) -> ExitCode {
    ExitCode::from(number(error))
}

/// Whether the error is about the data of one run: other runs of a study may do better.
pub(crate) fn is_of_data(error: &Error) -> bool {
    number(error) == 3
}

/// The number of an error: its own, or that of the library it comes from.
fn number(error: &Error) -> u8 {
    for cause in error.chain() {
        if let Some(fault) = cause.downcast_ref::<Fault>() {
            return fault.code;
        }
        if cause.is::<critic_data::DataError>() || cause.is::<critic_eval::EvalError>() {
            return 3;
        }
        if cause.is::<critic_store::StoreError>()
            || cause.is::<critic_types::atomic_file::WriteError>()
        {
            return 4;
        }
        if let Some(error) = cause.downcast_ref::<critic_remote::RemoteError>() {
            let is_file = matches!(error, critic_remote::RemoteError::Journal { .. });
            return if is_file { 4 } else { 2 };
        }
        if cause.is::<critic_model::ModelError>() || cause.is::<critic_text::TextError>() {
            return 5;
        }
        if let Some(error) = cause.downcast_ref::<critic_train::TrainError>() {
            use critic_train::TrainError as T;
            return match error {
                T::Config { .. } => 2,
                T::NoPairs | T::Render { .. } | T::PairTooLong { .. } | T::BeyondContext { .. } => {
                    3
                }
                T::Write(_) | T::Checkpoint { .. } => 4,
                T::Model(_) | T::NonFinite { .. } => 5,
                _ => 1,
            };
        }
    }
    1
}
