"""What the operator decides: one frozen record, the schema of flags, variables and the TOML file.

A setting `max_pixels` is the flag `--max-pixels`, the variable `BLENDMASK_MAX_PIXELS` and the key
`max_pixels`. `sources.py` reads them; nothing here looks at the environment. Long because it is
one table.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from service.configuration.forms import (
    Bytes,
    Devices,
    ExistingFile,
    ExistingFolder,
    Hosts,
    Keys,
    Name,
    Origins,
    Overrides,
    Sizes,
    repeated,
)
from service.configuration.model_spec import Models, ModelSpec
from service.configuration.value_type import is_number

PREFIX = "BLENDMASK_"
DEFAULT_WEIGHTS = "small"
# The settings of the one model that --weights and its friends describe.
SHORT_FORM = ("weights", "config", "overrides", "categories", "name")
# What keeps somebody out. Where such a setting is given but empty, whoever starts the server means
# to lock it and has nothing to lock it with: that is refused, never taken as "not given".
LOCKS = ("keys", "keys_file", "keys_guard_metrics", "url_hosts")


def _setting(group: str, default: Any, description: str, **rules: Any) -> Any:
    return Field(default, description=description, json_schema_extra={"group": group}, **rules)


_model = partial(_setting, "Models")
_device = partial(_setting, "Devices")
_http = partial(_setting, "HTTP")
_queue = partial(_setting, "Queue and batches")
_deadline = partial(_setting, "Deadlines")
_watch = partial(_setting, "Supervision")
_guard = partial(_setting, "Security")
_log = partial(_setting, "Logging")


def _one_model(values: dict[str, Any]) -> tuple[ModelSpec, ...]:
    return (ModelSpec(**{name: values[name] for name in SHORT_FORM}),)


class Settings(BaseSettings):
    """The settings of one server, made from what is given here and nothing else.

    Raises pydantic's ValidationError, a ValueError.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        env_prefix=PREFIX,
        # A default is right as it stands; an empty list of keys is so only as the default.
        validate_default=False,
        enable_decoding=False,
        allow_inf_nan=False,
        str_strip_whitespace=True,
    )

    weights: str = _model(
        DEFAULT_WEIGHTS, ModelSpec.model_fields["weights"].description or "", min_length=1
    )
    config: str | None = _model(None, ModelSpec.model_fields["config"].description or "")
    overrides: Overrides = _model((), "KEY VALUE pairs that change the configuration")
    categories: Path | None = _model(None, ModelSpec.model_fields["categories"].description or "")
    name: Name | None = _model(None, "what requests call it; default: its configuration's name")
    models: Models = Field(
        default_factory=_one_model,
        description="NAME=WEIGHTS[,CONFIG]: one of several models, instead of the flags above",
        json_schema_extra={"group": "Models"},
    )
    score_threshold: float | None = _model(
        None,
        "least score of an instance when the request names none; default: the model's own",
        ge=0,
        le=1,
    )

    devices: Devices = _device(
        ("auto",),
        "cpu, cuda:N or several (cuda:0,cuda:1), one worker process each; "
        "auto: every CUDA device, or else the CPU",
    )
    decode_threads: int = _device(4, "threads of a worker that decode pictures", ge=1, le=256)
    warmup_sizes: Sizes = _device(
        ((480, 640), (640, 480)),
        "WIDTHxHEIGHT of pictures that each model meets before it is ready",
    )
    canvas_record: Path | None = _device(
        None, "JSON file that keeps the sizes met in service, for the next start's warm-up"
    )

    host: str = _http("127.0.0.1", "address to listen on", min_length=1)
    port: int = _http(8000, "port to listen on; 0: any free one", ge=0, le=65535)
    max_connections: int = _http(1000, "open connections; requests on further ones get 503", ge=1)
    keep_alive_s: int = _http(
        75,
        "until a connection that brings no further request is closed; a proxy in front must close "
        "its own sooner",
        ge=1,
    )
    convert: bool = _http(False, "serve POST /convert: masks into other forms, no model")
    labelling_tools: bool = _http(False, "serve backends of Label Studio and CVAT")
    labelstudio_uploads: ExistingFolder | None = _http(
        None, "folder of Label Studio's uploads, to read what its tasks name there"
    )
    page: bool = _http(True, "serve the page at /, to try the models with pictures of one's own")
    max_body_bytes: Bytes = _http(32 * 2**20, "largest request body", ge=1)
    max_images: int = _http(16, "most images in one request", ge=1)
    max_pixels: int = _http(50_000_000, "most pixels in one image", ge=1)
    max_side: int = _http(16_384, "longest image side, in pixels", ge=1)

    max_waiting_images: int = _queue(64, "images that may wait, for each worker", ge=1)
    max_waiting_bytes: Bytes = _queue(
        2**30, "encoded bytes that waiting images may hold, in shared memory", ge=1
    )
    max_waiting_pixels: int = _queue(2_000_000_000, "pixels that waiting images may have", ge=1)
    max_batch_images: int | None = _queue(
        None,
        "most images in one batch; default: 8 on a GPU, and 1 on a CPU, which is slower with more",
        ge=1,
    )
    max_batch_pixels: int = _queue(
        12_000_000, "most padded pixels in one batch; an image beyond that runs alone", ge=1
    )

    deadline_s: float = _deadline(30.0, "until a request is given up with 504", gt=0)
    head_timeout_s: float = _deadline(10.0, "for a request's head to arrive", gt=0)
    body_timeout_s: float = _deadline(30.0, "for a request's body to arrive", gt=0)
    grace_s: float = _deadline(2.0, "to go on accepting requests after SIGTERM", ge=0)

    load_timeout_s: float = _watch(
        1800.0, "for a worker to fetch its models, load them and warm up", gt=0
    )
    hang_s: float = _watch(
        20.0, "a batch may take this long, or ten times its expected time if that is more", gt=0
    )
    heartbeat_timeout_s: float = _watch(
        5.0, "of silence after which a worker is replaced; it speaks twice a second", ge=1
    )
    canary_every_s: float = _watch(
        60.0, "between runs of a known picture; 0: only at a worker's start", ge=0
    )
    restart_delay_s: float = _watch(0.5, "before a worker is replaced, doubled each time", gt=0)
    restart_delay_max_s: float = _watch(30.0, "longest such delay", gt=0)

    keys: Keys = _guard(
        (), "API keys, any of which opens the service; a variable or keys_file hides them better"
    )
    keys_file: ExistingFile | None = _guard(None, "file of further API keys, one a line")
    keys_guard_metrics: bool = _guard(False, "ask for a key at /metrics, too")
    cors_origins: Origins = _guard(
        (), "https://example.org, …: origins whose pages may call the API from a browser; *: all"
    )
    admin: bool = _guard(False, "allow POST /admin/reload")
    url_input: bool = _guard(False, "fetch pictures that requests name by URL")
    url_allow_http: bool = _guard(False, "from http:// addresses, too")
    url_hosts: Hosts = _guard((), "only from these hosts; *.example.org covers what is below it")
    url_max_bytes: Bytes = _guard(32 * 2**20, "largest picture fetched", ge=1)
    url_max_redirects: int = _guard(3, "redirects followed for one picture", ge=0, le=20)
    url_timeout_s: float = _guard(5.0, "for one picture to be fetched", gt=0)

    log_level: Literal["debug", "info", "warning", "error"] = _log(
        "info", "debug, info, warning or error: the least severe level that is logged"
    )
    log_format: Literal["text", "json"] = _log(
        "text", "text: lines for people; json: one object each"
    )
    tracing: bool = _log(
        False, "send OpenTelemetry traces; its own variables (OTEL_…) say where to"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the constructor's arguments as the only source."""
        return (init_settings,)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_truth(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false where a number is wanted; pydantic would take them for 1 and 0."""
        if isinstance(value, bool) and is_number(cls.model_fields[info.field_name or ""]):
            raise PydanticCustomError("number_type", "it must be a number")
        return value

    @model_validator(mode="after")
    def _check_models(self) -> Settings:
        if "models" in self.model_fields_set:
            both = [name for name in SHORT_FORM if name in self.model_fields_set]
            if both:
                raise ValueError(
                    f"models and {', '.join(both)} are both given; several models are described by "
                    "models alone, one model by either"
                )
            if any(model.name is None for model in self.models):
                raise ValueError("a member of models has no name")
        if twice := repeated(model.name for model in self.models):
            raise ValueError(f"two models are called {twice!r}; names must differ")
        for model in self.models:
            strange = set(model.devices or ()) - set(self.devices) - {"auto"}
            if strange and "auto" not in self.devices:
                raise ValueError(
                    f"the model {model.written!r} is to run on {', '.join(sorted(strange))}; "
                    f"devices are {', '.join(self.devices)}"
                )
        return self

    @model_validator(mode="after")
    def _check_limits(self) -> Settings:
        for limit, part in (
            ("max_waiting_images", "max_images"),
            ("max_waiting_bytes", "max_body_bytes"),
            ("max_waiting_pixels", "max_pixels"),
            ("restart_delay_max_s", "restart_delay_s"),
        ):
            value, least = getattr(self, limit), getattr(self, part)
            if value < least:
                raise ValueError(f"{limit} is {value}; it must be at least {part}, {least}")
        if self.keys_guard_metrics and not (self.keys or self.keys_file):
            raise ValueError("keys_guard_metrics is on, but there are neither keys nor a keys_file")
        return self


def variable_of(name: str) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + name.upper()


def flag_of(name: str) -> str:
    """Return the command-line flag of a setting; those that may be repeated are singular."""
    singular = {"overrides": "override", "models": "model"}
    return "--" + singular.get(name, name).replace("_", "-")
