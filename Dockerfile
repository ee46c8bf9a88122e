# The one program, with every store. `docker build -t confab .`
FROM rust:1.95.0-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock rust-toolchain.toml ./
COPY proto proto
COPY crates crates
COPY services services
COPY gateway-grpc-web/Cargo.toml gateway-grpc-web/build.rs gateway-grpc-web/
COPY gateway-grpc-web/src gateway-grpc-web/src
COPY gateway-grpc-web/web/dist gateway-grpc-web/web/dist
COPY tests tests
RUN cargo build --release --locked --package confab --features cql

FROM debian:bookworm-slim
# For an issuer's keys over https.
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/target/release/confab /usr/local/bin/confab
USER 1000:1000
ENTRYPOINT ["confab"]
CMD ["serve"]
