//! Compiles `raccordo/v1/*.proto` without a `protoc` on the machine, and keeps the descriptors for reflection.

use prost::Message;
use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=raccordo");
    let mut files: Vec<PathBuf> = fs::read_dir("raccordo/v1")?
        .map(|entry| entry.map(|e| PathBuf::from("raccordo/v1").join(e.file_name())))
        .collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|e| e == "proto"));
    files.sort();
    let descriptors = protox::compile(&files, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?).join("descriptors.bin");
    fs::write(out, descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .bytes(".raccordo.v1.FetchResponse.data")
        .compile_fds(descriptors)?;
    Ok(())
}
