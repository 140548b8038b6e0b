//! Statistics of preference: Bradley-Terry, agreement, intervals, paired tests.
