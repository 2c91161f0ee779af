"""What the Data Factory's pipelines are made of: a link's archive to a blob, or its members to a folder.

The query of a link is a password. It comes as a SecureString, and each activity that sees it has secure input, so no
definition, monitor or log holds it. The output of a copy is not hidden: it names no address, and progress is read
from it.

Source:
    https://learn.microsoft.com/azure/data-factory/concepts-pipelines-activities (`secureOutput`: "output from
    activity is considered as secure and aren't logged for monitoring").
"""

from collections.abc import Mapping

from pulumi_azure_native import datafactory as df

COPY = "copy archive"
UNPACK = "copy and unpack archive"
LINK = "download_link"
STORE = "data_account"

_TRIES = 3
_SECONDS_BETWEEN_TRIES = 60
_LONGEST = "0.12:00:00"
"""A day or less: the links of a mail do not last longer than some days."""
_FIRST_BYTE_WITHIN = "00:10:00"
_UNITS = 4
"""The most data integration units that one file can use."""
_BLOCK_MB = 64
_BINARY = "Binary"
_OF_LINK = {"baseUrl": "String", "relativeUrl": "String"}
_ARCHIVE, _BLOB, _FOLDER = "link_archive", "store_blob", "store_folder"
_PACKED = {"tar": ("link_tar", "Tar"), "tar.gz": ("link_tar_gz", "TarGZip")}
"""Value of the parameter `format`: the dataset that reads it, and what Data Factory calls it."""
_SOURCE = {"baseUrl": "String", "relativeUrl": "SecureString"}
_PARAMETERS = {
    COPY: {**_SOURCE, "container": "String", "folder": "", "fileName": "String"},
    UNPACK: {**_SOURCE, "container": "String", "folder": "", "format": "String"},
}
"""Name and type of each parameter; an empty one is a text that may be left out."""


def parameters(pipeline: str) -> dict[str, df.ParameterSpecificationArgs]:
    """The parameters of a pipeline."""
    return {
        name: df.ParameterSpecificationArgs(type=kind)
        if kind
        else df.ParameterSpecificationArgs(type=df.ParameterType.STRING, default_value="")
        for name, kind in _PARAMETERS[pipeline].items()
    }


def datasets() -> dict[str, df.BinaryDatasetArgs]:
    """What is read and written, by name."""
    packed = {name: _at_link(df.DatasetCompressionArgs(type=kind)) for name, kind in _PACKED.values()}
    return {
        _ARCHIVE: _at_link(None),
        **packed,
        _BLOB: _in_store({"container": "String", "folder": "String", "fileName": "String"}),
        _FOLDER: _in_store({"container": "String", "folder": "String"}),
    }


def archive_activity() -> df.CopyActivityArgs:
    """Byte by byte."""
    return _copy("copy", _ARCHIVE, _BLOB, ("container", "folder", "fileName"), None)


def unpack_activities() -> list[df.CopyActivityArgs | df.SwitchActivityArgs]:
    """One way for each format; what is neither, xz above all, is for `mrikit data unpack`."""
    # Else members come in a folder named after the archive.
    ways: dict[str, df.TarReadSettingsArgs | df.TarGZipReadSettingsArgs] = {
        "tar": df.TarReadSettingsArgs(type="TarReadSettings", preserve_compression_file_name_as_folder=False),
        "tar.gz": df.TarGZipReadSettingsArgs(
            type="TarGZipReadSettings", preserve_compression_file_name_as_folder=False
        ),
    }
    cases = []
    for form, (name, _) in _PACKED.items():
        reading = df.BinaryReadSettingsArgs(type="BinaryReadSettings", compression_properties=ways[form])
        copy = _copy(f"unpack {form.replace('.', ' ')}", name, _FOLDER, ("container", "folder"), reading)
        cases.append(df.SwitchCaseArgs(value=form, activities=[copy]))
    refuse = df.FailActivityArgs(
        name="refuse other formats",
        type="Fail",
        error_code="400",
        message="@concat('format is tar or tar.gz, found ', pipeline().parameters.format)",
    )
    on = df.ExpressionArgs(type=df.ExpressionType.EXPRESSION, value="@pipeline().parameters.format")
    return [df.SwitchActivityArgs(name="by format", type="Switch", on=on, cases=cases, default_activities=[refuse])]


def _at_link(compression: df.DatasetCompressionArgs | None) -> df.BinaryDatasetArgs:
    service = df.LinkedServiceReferenceArgs(
        type=df.Type.LINKED_SERVICE_REFERENCE, reference_name=LINK, parameters={"baseUrl": _text("@dataset().baseUrl")}
    )
    return df.BinaryDatasetArgs(
        type=_BINARY,
        linked_service_name=service,
        location=df.HttpServerLocationArgs(type="HttpServerLocation", relative_url=_text("@dataset().relativeUrl")),
        parameters=_specifications(_OF_LINK),
        compression=compression,
    )


def _in_store(names: Mapping[str, str]) -> df.BinaryDatasetArgs:
    given = {name: _text(f"@dataset().{name}") for name in names}
    location = df.AzureBlobStorageLocationArgs(
        type="AzureBlobStorageLocation",
        container=given["container"],
        folder_path=given["folder"],
        file_name=given.get("fileName"),
    )
    service = df.LinkedServiceReferenceArgs(type=df.Type.LINKED_SERVICE_REFERENCE, reference_name=STORE)
    return df.BinaryDatasetArgs(
        type=_BINARY, linked_service_name=service, location=location, parameters=_specifications(names)
    )


def _copy(
    name: str, source: str, sink: str, target: tuple[str, ...], reading: df.BinaryReadSettingsArgs | None
) -> df.CopyActivityArgs:
    """A copy from the link to the data account."""
    return df.CopyActivityArgs(
        name=name,
        type="Copy",
        policy=df.ActivityPolicyArgs(
            retry=_TRIES,
            retry_interval_in_seconds=_SECONDS_BETWEEN_TRIES,
            timeout=_LONGEST,
            secure_input=True,
            secure_output=False,
        ),
        inputs=[_reference(source, tuple(_OF_LINK))],
        outputs=[_reference(sink, target)],
        source=df.BinarySourceArgs(
            type="BinarySource",
            store_settings=df.HttpReadSettingsArgs(
                type="HttpReadSettings", request_method="GET", request_timeout=_FIRST_BYTE_WITHIN
            ),
            format_settings=reading,
        ),
        sink=df.BinarySinkArgs(
            type="BinarySink",
            store_settings=df.AzureBlobStorageWriteSettingsArgs(
                type="AzureBlobStorageWriteSettings", block_size_in_mb=_BLOCK_MB
            ),
        ),
        data_integration_units=_UNITS,
        parallel_copies=1 if reading is None else None,
    )


def _reference(dataset: str, names: tuple[str, ...]) -> df.DatasetReferenceArgs:
    given = {name: _text(f"@pipeline().parameters.{name}") for name in names}
    return df.DatasetReferenceArgs(
        type=df.DatasetReferenceType.DATASET_REFERENCE, reference_name=dataset, parameters=given
    )


def _specifications(names: Mapping[str, str]) -> dict[str, df.ParameterSpecificationArgs]:
    return {name: df.ParameterSpecificationArgs(type=kind) for name, kind in names.items()}


def _text(expression: str) -> dict[str, str]:
    """An expression as Data Factory writes it; a bare text is taken as it stands."""
    return {"type": "Expression", "value": expression}
