//! Compiles the contract in `proto/` into clients, servers and the descriptor set that reflection and the access table are read from.

use std::{error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let mut files: Vec<PathBuf> = fs::read_dir("proto/roster/v1")?
        .map(|entry| entry.map(|found| found.path()))
        .collect::<Result<_, _>>()?;
    files.sort();

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler
        .include_source_info(true)
        .include_imports(true)
        .open_files(&files)?;
    // Encoded by protox: prost would drop the access option of each method, which it does not know.
    #[expect(
        clippy::disallowed_methods,
        reason = "cargo tells a build script where to write through the environment"
    )]
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    fs::write(out.join("roster.v1.binpb"), compiler.encode_file_descriptor_set())?;

    tonic_prost_build::compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
