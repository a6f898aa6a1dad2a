FROM python:3.11-slim-bookworm AS build
WORKDIR /build
RUN python -m venv /opt/seatrush
COPY requirements.lock ./
RUN /opt/seatrush/bin/pip install --no-cache-dir --require-hashes --requirement requirements.lock
COPY . ./
RUN /opt/seatrush/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --create-home --home-dir /var/lib/seatrush --shell /usr/sbin/nologin seatrush \
    && chmod 0700 /var/lib/seatrush
COPY --from=build /opt/seatrush /opt/seatrush
ENV PATH=/opt/seatrush/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    SEATRUSH_DATA=/var/lib/seatrush/data \
    SEATRUSH_HOST=0.0.0.0
USER 10001:10001
WORKDIR /var/lib/seatrush
EXPOSE 8080
ENTRYPOINT ["seatrush"]
CMD ["serve"]
