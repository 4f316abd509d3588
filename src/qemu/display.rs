//! The guest's graphics card, the window on the host, and input devices.

use super::Switch;
use crate::model::{Backend, GpuMode, Input, Passthrough, RomChoice, Session, UsbAddress, VmSpec, Window};

pub fn gpu(spec: &VmSpec) -> Vec<Switch> {
    let virtual_gpu = |kind| {
        vec![
            Switch::of("-device", kind)
                .set("xres", spec.size.width.to_string())
                .set("yres", spec.size.height.to_string()),
            Switch::of("-device", "virtio-keyboard-pci"),
            Switch::of("-device", "virtio-tablet-pci"),
        ]
    };
    match spec.gpu.value {
        GpuMode::Virgl => virtual_gpu("virtio-gpu-gl-pci"),
        GpuMode::Software => virtual_gpu("virtio-gpu-pci"),
        GpuMode::Passthrough(_) => spec.passthrough.iter().flat_map(passthrough).collect(),
    }
}

/// The card's functions remain functions of one device, behind its own root port, so that it can be reset.
fn passthrough(passed: &Passthrough) -> Vec<Switch> {
    let card = &passed.bind_plan.card;
    let iommufd = passed.backend.value == Backend::Iommufd;
    let mut switches: Vec<_> =
        iommufd.then(|| Switch::of("-object", "iommufd").set("id", "iommufd")).into_iter().collect();
    switches.push(Switch::of("-device", "pcie-root-port").set("id", "gpu-port").set("chassis", "1"));
    switches.extend(card.iter().enumerate().map(|(function, address)| {
        let mut device = Switch::of("-device", "vfio-pci")
            .set("host", address.to_string())
            .set("bus", "gpu-port")
            .set("addr", format!("0.{function}"));
        if iommufd {
            device = device.set("iommufd", "iommufd");
        }
        if function == 0 && card.len() > 1 {
            device = device.set("multifunction", "on");
        }
        if *address == passed.bind_plan.gpu {
            device = match &passed.rom {
                RomChoice::Card => device,
                RomChoice::None => device.set("rombar", "0"),
                RomChoice::File(path) => device.set("romfile", path),
            };
            if passed.x_vga {
                device = device.set("x-vga", "on");
            }
        }
        device
    }));
    switches.extend(inputs(&passed.inputs));
    switches
}

/// For evdev files the VM has virtio devices; both control keys together switch all of them between host and VM (grab_all).
/// A USB device is passed itself, at a controller of the VM.
fn inputs(inputs: &[Input]) -> Vec<Switch> {
    let device = |name: &str| Switch::of("-device", name);
    let mut switches = Vec::new();
    if inputs.iter().any(|input| matches!(input, Input::Evdev(_))) {
        switches.extend(["virtio-keyboard-pci", "virtio-mouse-pci"].map(device));
    }
    if inputs.iter().any(|input| matches!(input, Input::Usb(_))) {
        switches.push(device("qemu-xhci"));
    }
    switches.extend(inputs.iter().enumerate().map(|(number, input)| {
        match input {
            Input::Evdev(path) => Switch::of("-object", "input-linux")
                .set("id", format!("input{number}"))
                .set("evdev", path)
                .set("grab_all", "on")
                .set("repeat", "on"),
            Input::Usb(UsbAddress::Ids { vendor, product }) => device("usb-host")
                .set("vendorid", format!("{vendor:#06x}"))
                .set("productid", format!("{product:#06x}")),
            Input::Usb(UsbAddress::Port { bus, port }) => {
                device("usb-host").set("hostbus", bus.to_string()).set("hostport", port)
            }
        }
    }));
    switches
}

pub fn display(spec: &VmSpec) -> Vec<Switch> {
    let gl = if spec.gpu.value == GpuMode::Virgl { "on" } else { "off" };
    let mut switches = vec![match spec.window.value {
        Window::Gtk => Switch::of("-display", "gtk")
            .set("gl", gl)
            .set("show-tabs", "off")
            .set("show-menubar", "off")
            .set("zoom-to-fit", "on"),
        Window::Sdl => Switch::of("-display", "sdl").set("gl", gl),
        // The command key is for macOS only: of Cmd-Tab and Cmd-Q the guest would get one half.
        Window::Cocoa => {
            Switch::of("-display", "cocoa").set("zoom-to-fit", "on").set("left-command-key", "off")
        }
        Window::None => Switch::of("-display", "none"),
    }];
    if spec.fullscreen && spec.window.value != Window::None {
        switches.push(Switch::bare("-full-screen"));
    }
    switches
}

/// SDL may choose a driver that shows nothing; the session is known, so the driver is set.
pub fn sdl_driver(spec: &VmSpec) -> Option<&'static str> {
    match (&spec.session, spec.window.value) {
        (Session::X11(_), Window::Sdl) => Some("x11"),
        (Session::Wayland(_), Window::Sdl) => Some("wayland"),
        _ => None,
    }
}
