# logwatch's image: one static binary, the sample configuration and the licence;
# no shell, no C library. The binaries are built outside, since Go needs no machine
# of the target's kind for it: hack/image builds them, and then this with buildah. With
# docker: build dist/image/linux-<arch>/logwatch first, CGO_ENABLED=0.
FROM scratch
ARG TARGETARCH
COPY dist/image/linux-${TARGETARCH}/logwatch /logwatch
COPY configs/logwatch.yaml /etc/logwatch/logwatch.yaml
COPY LICENSE /licenses/LICENSE
# Containers' logs and the runtime's socket are root's. It needs no capability.
USER 0:0
ENTRYPOINT ["/logwatch"]
CMD ["run", "--config", "/etc/logwatch/logwatch.yaml"]
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="logwatch" \
      org.opencontainers.image.description="Rotates Kubernetes containers' logs the moment they reach their limit" \
      org.opencontainers.image.source="https://github.com/logwatch/logwatch" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
