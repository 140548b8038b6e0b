use ratatui::style::{Color, Modifier, Style};

/// The few styles of the screen: what is not plain is bold, dim, or one of three colors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Palette {
    has_colors: bool,
}

impl Palette {
    pub(super) fn new(has_colors: bool) -> Self {
        Self { has_colors }
    }

    /// Without colors where `NO_COLOR` says so (no-color.org).
    pub(super) fn of_environment() -> Self {
        Self::new(std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
    }

    fn colored(self, color: Color) -> Style {
        if self.has_colors { Style::new().fg(color) } else { Style::new() }
    }

    /// What is beside the point.
    pub(super) fn quiet(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    pub(super) fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What moves at the moment.
    pub(super) fn live(self) -> Style {
        self.colored(Color::Cyan)
    }

    pub(super) fn good(self) -> Style {
        self.colored(Color::Green)
    }

    pub(super) fn warn(self) -> Style {
        self.colored(Color::Yellow)
    }
}
