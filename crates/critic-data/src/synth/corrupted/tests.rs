use super::*;

fn gold(id: &str, question: &str, answer: &str) -> GoldSolution {
    GoldSolution { id: id.to_owned(), question: question.to_owned(), answer: answer.to_owned() }
}

const QUESTION: &str =
    "Abe has $3000. A third is for food, a quarter for supplies, the rest for wages.";
const ANSWER: &str = "Food is $3000 / 3 = $<<3000/3=1000>>1000.\nSupplies are $3000 / 4 = $<<3000/4=750>>750.\n\
    Wages are $3000 - $1000 - $750 = $<<3000-1000-750=1250>>1,250.\n#### 1250";

#[test]
fn an_error_is_carried_to_the_answer_and_named() {
    for i in 0..40 {
        let gold = gold(&format!("g{i}"), QUESTION, ANSWER);
        let made = corrupt(&gold, &SeedTree::new(0)).unwrap();
        assert_ne!(made.step, 0, "1000 is an everyday number");
        let pair = &made.annotated.pair;
        assert!(pair.chosen.ends_with("1,250.\n#### 1250") && !pair.chosen.contains("<<"));
        let wrong = final_number(&pair.rejected).unwrap();
        assert_eq!(made.steps.last().unwrap().1, wrong);
        for (at, (expression, value)) in made.steps.iter().enumerate() {
            let is_true = evaluate(expression) == Some(*value);
            assert_eq!(is_true, at != made.step || made.kind == CorruptionKind::Operation);
        }
        let critique = &made.annotated.critiques[1].text;
        assert!(
            critique.ends_with(&format!("answer {wrong} is wrong; it should be 1250.")),
            "{critique}"
        );
        assert_eq!(made, corrupt(&gold, &SeedTree::new(0)).unwrap());
    }
}

#[test]
fn another_operation_stands_in_the_text_and_in_the_critique() {
    let answer = "She has 90 + 27 = <<90+27=117>>117 pens.\nTwice that is 117 x 2 = <<117*2=234>>234.\n#### 234";
    let made: Vec<Corrupted> = (0..60)
        .map(|i| {
            corrupt(&gold(&format!("g{i}"), "90 red and 27 blue?", answer), &SeedTree::new(0))
                .unwrap()
        })
        .filter(|made| made.kind == CorruptionKind::Operation && made.step == 0)
        .collect();
    let texts: Vec<_> = made.iter().map(|made| made.annotated.pair.rejected.as_str()).collect();
    let less = "She has 90 - 27 = 63 pens.\nTwice that is 63 x 2 = 126.\n#### 126";
    let times = "She has 90 * 27 = 2430 pens.\nTwice that is 2430 x 2 = 4860.\n#### 4860";
    assert!(texts.contains(&less) && texts.contains(&times), "{texts:?}");
    let of_less = made.iter().find(|made| made.annotated.pair.rejected == less).unwrap();
    assert_eq!(
        of_less.annotated.critiques[1].text,
        "The first wrong step is \"She has 90 - 27 = 63 pens.\": it computes 90-27 = 63 where 90+27 = 117 \
         is needed. The error is carried into 126. The final answer 126 is wrong; it should be 234."
    );
}

#[test]
fn what_cannot_be_followed_is_refused() {
    let try_it = |question: &str, answer: &str| {
        corrupt(&gold("g", question, answer), &SeedTree::new(0))
            .map(|made| made.annotated.pair.rejected)
    };
    assert_eq!(try_it("q", "It is 72."), Err(RowProblem::NoSteps));
    assert_eq!(try_it("q", "<<1+1=3>>3\n#### 3"), Err(RowProblem::FalseStep));
    assert_eq!(
        try_it("There are 72.", "48+24=<<48+24=72>>72\n#### 72"),
        Err(RowProblem::NotCorruptible)
    );
    assert_eq!(try_it("q", "1+1=<<1+1=2>>2\n#### 2"), Err(RowProblem::NotCorruptible));
    assert_eq!(
        try_it("q", "48+24=<<48+24=72>>72\n9+8=<<9+8=17>>17 too\n#### 72").map(|_| ()),
        Ok(())
    );
    for broken in ["<<", "<<a", "<<>>", "<<=>>", "<<1>>", ">><<1+1=2"] {
        assert!(try_it("q", broken).is_err(), "{broken}");
    }
}

#[test]
fn numbers_are_found_and_printed_as_they_stood() {
    let found: Vec<f64> = numbers("1,250 and .5, 3.25. 7,12 x2").iter().map(|n| n.2).collect();
    assert_eq!(found, [1250.0, 0.5, 3.25, 7.0, 12.0, 2.0]);
    assert_eq!(printed(1_234_567.5, true), "1,234,567.5");
    assert_eq!((printed(12.0, false), printed(0.25, false)), ("12".to_owned(), "0.25".to_owned()));
    assert_eq!(replaced("$1,250 of 250", &[(1250.0, 2260.0)]), "$2,260 of 250");
}

proptest::proptest! {
    #[test]
    fn no_solution_makes_it_panic(text in "([a-z0-9 .,$=+*/()#é\n-]|<<|>>|=){0,60}") {
        let _ = corrupt(&gold("g", &text, &text), &SeedTree::new(1));
    }
}
