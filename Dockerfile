# docker build -t qins . && docker run --rm -v "$PWD:/models" qins -m /models/MODEL.qins -p "Hello"
FROM debian:12-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends make dpkg-dev
COPY . /qins
WORKDIR /qins
RUN make deps && make deb

FROM debian:12-slim
COPY --from=build /qins/build/release/qins_*.deb /tmp/
RUN apt-get update && apt-get install -y /tmp/qins_*.deb && rm -rf /tmp/qins_*.deb /var/lib/apt/lists/*
USER nobody
ENTRYPOINT ["qinsrun"]
