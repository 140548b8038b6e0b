use super::*;

#[test]
fn what_does_not_fit_is_an_error_that_says_what() {
    let error = Weight::from_gguf_blocks(Format::Q4_0, 2, 48, &[0; 54]).unwrap_err();
    assert!(error.to_string().contains("48") && error.to_string().contains("multiple of 32"));
    let error = Weight::from_gguf_blocks(Format::Q4_1, 2, 32, &[0; 36]).unwrap_err();
    let expected = KernelError::WrongLength { operand: "blocks", found: 36, expected: 40 };
    assert_eq!(error, expected);
    let error = Weight::from_gguf_blocks(Format::Q4K, 1, 128, &[0; 72]).unwrap_err();
    assert!(error.to_string().contains("128") && error.to_string().contains("multiple of 256"));
    for format in READ {
        let error = Weight::from_f32(format, 1, 256, &[0.0; 256]).unwrap_err();
        assert_eq!(error, KernelError::OnlyRead { format: format.name() });
    }
    assert!(Weight::from_f32(Format::Q8_0, 0, 32, &[]).is_err());
    assert!(Weight::from_f32(Format::Q8_0, 2, 32, &[0.0; 63]).is_err());

    let weight = Weight::from_f32(Format::Q8_0, 2, 32, &[0.5; 64]).unwrap();
    let mut x = Activations::new();
    assert!(x.load(Precision::Int8, 32, &[0.0; 33]).is_err());
    x.load(Precision::F32, 32, &[0.0; 32]).unwrap();
    let error = product(&weight, &x, &mut [0.0; 2]).unwrap_err();
    assert_eq!(error, KernelError::WrongPrecision { format: "Q8_0" });
    x.load(Precision::Int8, 32, &[0.0; 32]).unwrap();
    assert!(product(&weight, &x, &mut [0.0; 3]).is_err());
    x.load(Precision::Int8, 64, &[0.0; 64]).unwrap();
    assert!(product(&weight, &x, &mut [0.0; 2]).is_err());
    assert!(weight.dequantize(2..3, &mut [0.0; 32]).is_err());
    assert!(weight.dequantize(0..1, &mut [0.0; 31]).is_err());
}

#[test]
fn a_weight_that_is_not_finite_in_its_format_is_an_error_that_says_where() {
    let mut w = numbers(3 * 64, 17);
    w[64 + 35] = f32::NAN;
    for format in FORMATS {
        let error = Weight::from_f32(format, 3, 64, &w).unwrap_err();
        let expected = KernelError::NonFiniteWeight { row: 1, term: 35, format: format.name() };
        assert_eq!(error, expected);
    }
    w[64 + 35] = 1e30;
    let error = Weight::from_f32(Format::Q4_1, 3, 64, &w).unwrap_err();
    assert_eq!(error, KernelError::NonFiniteWeight { row: 1, term: 32, format: "Q4_1" });
    let error = Weight::from_f32(Format::F16, 3, 64, &w).unwrap_err();
    assert_eq!(error, KernelError::NonFiniteWeight { row: 1, term: 35, format: "F16" });
    assert!(Weight::from_f32(Format::Bf16, 3, 64, &w).is_ok());

    let mut blocks = [0; 2 * 34];
    blocks[34..36].copy_from_slice(&[0x00, 0x7c]);
    let error = Weight::from_gguf_blocks(Format::Q8_0, 2, 32, &blocks).unwrap_err();
    assert_eq!(error, KernelError::NonFiniteWeight { row: 1, term: 0, format: "Q8_0" });

    // The least number of a block of Q4_0 is −8 times its scale, here −8 · 8192.
    let blocks = [&[0x00, 0x70], &[0; 16][..]].concat();
    let error = Weight::from_gguf_blocks(Format::Q4_0, 1, 32, &blocks).unwrap_err();
    assert_eq!(error, KernelError::NonFiniteWeight { row: 0, term: 0, format: "Q4_0" });
}
